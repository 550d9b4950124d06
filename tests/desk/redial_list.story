# The key of the redial list steps back through the numbers dialled; the one spoken last is dialled.
with l [phone] language = "en"
with l [dial.feature_keys] 3 = "redial-list"
l calls 102 and talks
l hangs up
l is idle
r hangs up
l calls 103 and talks
l hangs up
l is idle
s hangs up
l presses the feature-3 key
l says 1 0 3
l presses the feature-3 key
l says 1 0 2
r rings
r lifts
l and r talk
