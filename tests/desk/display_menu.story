# With the handset down the keys move through a menu; who is chosen there is called by lifting.
with l [phone] language = "en"
with l [dial.contacts] "Anna Berg" = "103"
with l [dial.contacts] "Bob" = "102"
l has a display
r calls 101
l rings
r hangs up
l is idle
display of l shows 1 missed call
l presses 5
display of l shows Menu
display of l shows > Calls
l presses 5
display of l shows > ! Bob
l presses 5
display of l shows Missed
display of l shows 102
l presses 5
display of l shows Lift the handset
l lifts
r rings
r lifts
l and r talk
l hangs up
r hangs up
l is idle
display of l does not show missed
l presses 585
display of l shows > Anna Berg
l presses 8
display of l shows > Bob
l presses 2#
display of l shows Lift the handset
display of l shows 103
l lifts
s rings
l hangs up
l is idle
l presses 566#
display of l shows Offhook
l presses ***
display of l shows 2023
l presses #
display of l shows Menu
31 s pass
display of l does not show Menu
