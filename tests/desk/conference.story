# Three talk; one hangs up, the other two go on.
also in real time
with l [call] flash = "key"
l calls 102 and talks
l flashes
l hears recall_dial
l presses 103
s rings
s lifts
l and s talk
l flashes
l presses 3
l and r and s talk
s hangs up
l and r talk
