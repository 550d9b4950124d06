# A caller of the phone book is shown by name, however the number is written.
also in real time
with l [dial.contacts] "Anna-Berg" = "102"
r calls 101
l rings
l sees Anna-Berg
r hangs up
l is idle
l remembers missed 102
s calls 101
l rings
l sees 103
