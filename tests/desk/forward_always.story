# Every call goes to another number, until that is taken back.
also in real time, at length
l lifts
l presses *72103
l hears confirmation
l hangs up
r calls 101
s rings
l does not ring
s lifts
r and s talk
r hangs up
s hangs up
l lifts
l presses *73
l hears confirmation
l hangs up
r calls 101
l rings
