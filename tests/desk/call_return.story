# Call return calls who called last.
also on gpio-sim
also in real time
r calls 101
l rings
r hangs up
l is idle
l lifts
l presses *89
r rings
r lifts
l and r talk
