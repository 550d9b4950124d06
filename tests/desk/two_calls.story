# Two calls in the hand: swapped by the flash, dropped by a digit.
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
3 s pass
l and r talk
l flashes
l presses 1
r hears congestion
l and s talk
