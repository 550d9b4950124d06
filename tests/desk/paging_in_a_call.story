# An important group is heard in a call, the others are not; the far end hears neither.
with l [paging.groups] 1 = "239.1.1.1:5004"
with l [paging.groups] 2 = "239.1.1.2:5004"
with r [paging.groups] 1 = "239.1.1.1:5004"
with r [paging.groups] 2 = "239.1.1.2:5004"
with r [paging] over_calls = 1
with r [paging] codec = "opus"
with l [paging] codec = "opus"
r calls 103
s rings
s lifts
r and s talk
l lifts
l presses *582
l is not heard by r
l hangs up
2 s pass
l lifts
l presses *581
l is talking
l is heard by r in a call
l is not heard by s
s is not heard by l
l hangs up
2 s pass
r and s talk
