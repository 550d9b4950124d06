# A short number on a rotary dial goes when no more digits come; one that is not known is refused.
with l [dial.speed] 3 = "103"
l lifts
l hears dial
l dials 3
s rings
l hangs up
s is idle
l is idle
l lifts
l hears dial
l dials 0
l hears congestion
