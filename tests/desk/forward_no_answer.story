# A call that no one answers goes to another number.
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
