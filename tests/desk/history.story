# Missed, dialled, received and refused calls are remembered, and kept.
also in real time
r calls 101
l rings
r hangs up
l remembers missed 102
r is idle
l calls 102 and talks
l hangs up
l is idle
l remembers answered 102
r remembers answered 101
r hangs up
r is idle
r calls 101
l rings
l presses #
l remembers refused 102
r remembers failed 101
