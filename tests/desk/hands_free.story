# Talking without the handset: the lamp says that the room may be heard.
with l [audio] speaker_db = 6
with l [call] flash = "key"
l presses the hands-free key
lamp hands_free of l is on
l hears dial
the ear of l has -7 dBm0
l presses 102
r rings
r lifts
l and r talk
# The handset takes the call over, and puts it down.
l lifts
lamp hands_free of l is off
l and r talk
l hangs up
l is idle
r hangs up
r is idle
# A call that comes in is answered by the key and ended by it.
r calls 101
l rings
l presses the hands-free key
l and r talk
l presses the hands-free key
l is idle
lamp hands_free of l is off
r hears congestion
r hangs up
r is idle
# From the handset to the loudspeaker: key, then the handset is put down.
l calls 102 and talks
l presses the hands-free key
lamp hands_free of l is on
l hangs up
l and r talk
# When the far end hangs up, the phone rests by itself: no one has anything to put down.
r hangs up
l hears congestion
8 s pass
l is idle
lamp hands_free of l is off
