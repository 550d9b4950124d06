# A call that no one answers goes to another number.
also in real time, at length
with l [call] forward_after_s = 10
l lifts
l presses *92103
l hears confirmation
l hangs up
r calls 101
l rings
5 s pass
l rings
5 s pass
s rings
l is idle
s lifts
r and s talk
s hangs up
r hangs up
r is idle
l lifts
l presses *93
l hears confirmation
l hangs up
r calls 101
l rings
12 s pass
l rings
l lifts
l and r talk
