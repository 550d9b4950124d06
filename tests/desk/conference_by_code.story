# A third is called to join: when it answers, all three talk; one hangs up, the other two go on.
also in real time
with l [call] flash = "key"
l calls 102 and talks
l flashes
l hears recall_dial
l presses *76103
s rings
s lifts
l and r and s talk
r hangs up
l and s talk
s hangs up
l hears congestion
l hangs up
r is idle
# Without a call on hold there is nothing to connect.
l lifts
l presses *76103
l hears congestion
s does not ring
