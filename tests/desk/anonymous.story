# One's own number is withheld, once or always.
also in real time
l lifts
l presses *87102
r rings
r sees anonymous
l hangs up
r is idle
l calls 102
r rings
r sees 101
l hangs up
r is idle
l lifts
l presses *81
l hears confirmation
l hangs up
l calls 102
r rings
r sees anonymous
l hangs up
r is idle
l lifts
l presses *82
l hears confirmation
l hangs up
l calls 102
r rings
r sees 101
