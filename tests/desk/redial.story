# Redial calls the number dialled last.
l calls 102
r rings
l hangs up
r is idle
l lifts
l presses *88
r rings
l hears ringback
