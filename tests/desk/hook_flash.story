# The hook as flash: a tap holds the call and gives dial tone, another takes it back; down is over.
also on gpio-sim
l calls 102 and talks
l taps the hook
l hears recall_dial
l taps the hook
l and r talk
l hangs up
l is idle
r hears congestion
r hangs up
# A lift that answers is no flash, and neither is one after a pause.
r calls 101
l rings
l lifts
l and r talk
1 s passes
l and r talk
