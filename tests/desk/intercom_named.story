# A named caller is answered without lifting: the bell tells, the microphone waits for the hand.
with l [call] intercom = ["103"]
s calls 101
l rings
l is talking
2 s pass
l does not ring
l lifts
l and s talk
s hangs up
l hears congestion
l hangs up
l is idle
s is idle
r calls 101
l rings
l is ringing
