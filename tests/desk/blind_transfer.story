# The call on hold is given to another number.
also in real time
l calls 102 and talks
l flashes
l hears recall_dial
l presses *85103
l hears confirmation
s rings
s lifts
r and s talk
