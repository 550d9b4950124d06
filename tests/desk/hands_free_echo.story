# In a room that sends the loudspeaker back into the microphone, the far end does not hear itself.
with l [board.audio] echo_canceller = "on"
the room of l echoes
the room of s echoes
no one speaks at l
no one speaks at s
l presses the hands-free key
l hears dial
l presses 102
r rings
r lifts
l is talking
4 s pass
r does not hear itself
r is heard by l
l presses the hands-free key
l is idle
r hangs up
# Without the echo canceller it does.
s presses the hands-free key
s hears dial
s presses 102
r rings
r lifts
s is talking
4 s pass
r hears itself
