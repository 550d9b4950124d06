# A key of one's own connects the call on hold with the one in the hand.
also in real time
with l [call] flash = "key"
with l [dial.feature_keys] 1 = "conference"
l calls 102 and talks
l flashes
l hears recall_dial
l presses 103
s rings
s lifts
l and s talk
l presses the feature-1 key
l and r and s talk
# With all three connected the flash takes one out, and a digit ends that call.
l flashes
l presses 1
r hears congestion
l and s talk
