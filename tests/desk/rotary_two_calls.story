# With a rotary dial and the hook there are two calls, too: a digit after the tap drops one.
also on gpio-sim
l lifts
l hears dial
l dials 102
r rings
r lifts
l and r talk
l taps the hook
l hears recall_dial
l dials 103
s rings
s lifts
l and s talk
l taps the hook
3 s pass
l and r talk
l taps the hook
l dials 1
r hears congestion
l and s talk
