# No menu stands between a person and a call: one that comes in rings, lifting gives dial tone, and an
# emergency call goes out from anywhere.
with l [phone] language = "en"
with l [dial.contacts] "Anna Berg" = "103"
l has a display
l presses 588
display of l shows Volume
r calls 101
l rings
display of l shows Incoming call
# Meant for the menu that was there a moment ago: it refuses no one.
l presses #
l rings
l lifts
l and r talk
l hangs up
r hangs up
l is idle
# A contact is looked at, and 112 is what is wanted.
l presses 585
display of l shows Anna Berg
l lifts
l hears dial
l presses 112
the server gets INVITE sip:112
l hangs up
l is idle
# Even where somebody was chosen to be called, a second lift is all it takes.
l presses 5855
display of l shows Lift the handset
l lifts
s rings
l hangs up
l is idle
l lifts
l hears dial
l hangs up
l is idle
# Digits in a call are digits.
l calls 102 and talks
l presses 5
display of l does not show Menu
l hangs up
r hangs up
l is idle
