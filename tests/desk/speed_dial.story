# A number is stored under a key from the handset.
l lifts
l presses *743102
l hears confirmation
l hangs up
l calls 3#
r rings
