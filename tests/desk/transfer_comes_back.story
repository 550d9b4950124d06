# A call that cannot be transferred comes back to the hand that sent it away.
s lifts
l calls 102 and talks
l flashes
l hears recall_dial
l presses *85103
l and r talk
l hangs up
r hears congestion
