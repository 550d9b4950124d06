# Do not disturb: callers hear busy, the owner calls as before.
also in real time
l lifts
l presses *78
l hears confirmation
l hangs up
r calls 101
r hears busy
l does not ring
r hangs up
l calls 102 and talks
l hangs up
l is idle
r hangs up
r is idle
l lifts
l presses *79
l hears confirmation
l hangs up
r calls 101
l rings
