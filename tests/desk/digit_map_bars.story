# What the digit map bars is barred however it is dialled, also where the far end leads there.
also in real time, at length
with l [dial.speed] 7 = "103"
with l [dial] digit_map = "103!|[1-9]xx"
l calls 103
l hears congestion
l hangs up
l calls 7#
l hears congestion
s does not ring
l hangs up
r lifts
r presses *72103
r hears confirmation
r hangs up
l calls 102
l hears congestion
s does not ring
