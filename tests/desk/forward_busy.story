# Calls that come while the handset is in use go to another number.
with l [call] waiting = false
l lifts
l presses *90103
l hears confirmation
l hangs up
l calls 102 and talks
s lifts
s presses 101
# The forwarded call leads back to its caller, who is busy.
s hears busy
s hangs up
l and r talk
# Taken back, the caller hears busy.
l hangs up
r hangs up
l is idle
r is idle
l lifts
l presses *91
l hears confirmation
l hangs up
l calls 102 and talks
s lifts
s presses 101
s hears busy
s hangs up
l and r talk
