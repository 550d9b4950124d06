# A number that cannot be is refused on a rotary dial, too, and the next one is dialled as ever.
also on gpio-sim
l lifts
l hears dial
l dials 0
l hears congestion
l hangs up
l is idle
l lifts
l hears dial
l dials 103
s rings
lamp in_use of l is on
