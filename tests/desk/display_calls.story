# The display shows what goes on, from the clock to the reason of a failure.
with l [phone] language = "en"
with l [dial.contacts] "Jörg Müller" = "102"
l has a display
display of l shows 2023
display of l shows 101
l lifts
display of l shows Dial
l presses 1
display of l shows 1
l presses 02
display of l shows It rings
display of l shows Jörg Müller
r lifts
l and r talk
display of l shows 0:0
display of l shows Quality
display of l does not show encrypted
l flashes
display of l shows On hold: Jörg Müller
l flashes
l hangs up
r hangs up
l is idle
r calls 101
l rings
display of l shows Incoming call
display of l shows Jörg Müller
display of l shows # refuse
r hangs up
l is idle
display of l shows 1 missed call
s lifts
l calls 103
display of l shows Busy
display of l shows 486
l hangs up
display of l does not show missed
s hangs up
l is idle
display of l is full
61 s pass
display of l is dim
600 s pass
display of l is dark
r calls 101
l rings
display of l is full
r hangs up
l is idle
