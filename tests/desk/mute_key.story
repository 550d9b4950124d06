# The mute key switches the microphone off and on, and its lamp says so.
also in real time
l calls 102 and talks
l and r talk
lamp muted of l is off
l presses the mute key
lamp muted of l is on
l is not heard by r
l presses the mute key
lamp muted of l is off
l and r talk
ctl l mutes
lamp muted of l is on
# A call that is over takes the mute with it.
l hangs up
l is idle
lamp muted of l is off
r hangs up
r is idle
l calls 102 and talks
l and r talk
l hangs up
l is idle
r hangs up
r is idle
# While it rings the key silences the bell.
r calls 101
l rings
l presses the mute key
l does not ring
l is ringing
l lifts
l and r talk
