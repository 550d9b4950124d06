# A number is stored under a key from the handset.
also in real time
l lifts
l presses *743102
l hears confirmation
l hangs up
l calls 3#
r rings
