# A mistake in the settings is beeped and then said, at each lift once; the dial tone follows.
with l [phone] language = "en"
l has error 2
l lifts
l says error 2 defaults
l hears dial
6 s pass
l hears dial
l hangs up
l lifts
l says error 2 defaults
l hangs up
r has error 1
r lifts
r says de:error de:1 de:last-good
# A key ends it, and dials.
r hangs up
r lifts
1.5 s pass
r presses 101
l rings
r hangs up
r is idle
