# The call on hold is parked, a code takes a parked call, and another calls the echo test.
also in real time, at length
with l [call] flash = "key"
with l [dial] park = "103"
with r [dial] pick_up = "103"
with r [dial] echo_test = "101"
l calls 102 and talks
l flashes
l hears recall_dial
l presses *75
l hears confirmation
s rings
s lifts
r and s talk
l hangs up
r hangs up
s hangs up
2 s pass
r lifts
r presses *71
s rings
s lifts
r and s talk
s hangs up
r hangs up
2 s pass
r lifts
r presses *99#
l rings
