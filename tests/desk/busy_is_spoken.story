# A far end that is busy: the busy tone, and words that say so.
with l [phone] language = "en"
with r [call] waiting = false
r calls 103 and talks
l lifts
l presses 102
l hears busy
l says line-busy
l hangs up
l is idle
