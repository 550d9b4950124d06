# A named caller is answered without lifting: the bell tells, the microphone waits for the hand.
with l [call] intercom = ["103"]
s calls 101
l rings
l is talking
lamp hands_free of l is on
lamp muted of l is on
s is heard by l
l is not heard by s
l does not ring
l lifts
lamp muted of l is off
lamp hands_free of l is off
l and s talk
s hangs up
l hears congestion
l hangs up
l is idle
s is idle
r calls 101
l rings
l is ringing
