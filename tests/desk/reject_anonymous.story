# Callers who withhold their number are refused, others ring.
also in real time, at length
r lifts
r presses *83
r hears confirmation
r hangs up
l lifts
l presses *87102
l hears congestion
r does not ring
l hangs up
l calls 102
r rings
l hangs up
r is idle
r lifts
r presses *84
r hears confirmation
r hangs up
l lifts
l presses *87102
r rings
