# Redial calls the number dialled last.
also on gpio-sim
also in real time
l calls 102
r rings
l hangs up
r is idle
l lifts
l presses *88
r rings
l hears ringback
