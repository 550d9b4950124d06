# One speaks to the phones of a group: they beep and are heard from, and their microphones stay off.
with l [paging.groups] 2 = "239.1.1.2:5004"
with r [paging.groups] 2 = "239.1.1.2:5004"
with s [paging.groups] 3 = "239.1.1.3:5004"
l lifts
l presses *582
l is talking
lamp hands_free of r is fast
lamp in_use of r is off
l is heard by r
r is not heard by l
l is not heard by s
# A second after the last word the loudspeaker is off.
l hangs up
1.5 s pass
lamp hands_free of r is off
the ear of r is silent
# Do not disturb keeps it out, lifting the handset stops it.
r lifts
r presses *78
r hears confirmation
r hangs up
l lifts
l presses *582
l is not heard by r
r lifts
r presses *79
r hears confirmation
r hangs up
lamp hands_free of r is fast
l is heard by r
r lifts
lamp hands_free of r is off
l is not heard by r
# A group that does not exist.
l hangs up
2 s pass
l lifts
l presses *589
l hears congestion
