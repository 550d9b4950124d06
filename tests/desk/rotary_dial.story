# A rotary dial calls, and its lamp says that the phone is in use.
also on gpio-sim
lamp in_use of l is off
l lifts
l hears dial
l dials 102
r rings
lamp in_use of l is on
r lifts
l and r talk
l hangs up
lamp in_use of l is off
r hears congestion
r hangs up
