# Keys with a purpose: a number, dialled hands-free, and a consultation in a call.
also in real time
with l [dial.feature_keys] 1 = "102"
with l [dial.feature_keys] 2 = "103"
with l [call] flash = "key"
l presses the feature-1 key
lamp hands_free of l is on
r rings
r lifts
l and r talk
l presses the feature-2 key
s rings
s lifts
l and s talk
l flashes
2 s pass
l and r talk
# A key without a purpose does nothing.
l presses the feature-7 key
l and r talk
