# Call return calls who called last.
r calls 101
l rings
r hangs up
l is idle
l lifts
l presses *89
r rings
r lifts
l and r talk
