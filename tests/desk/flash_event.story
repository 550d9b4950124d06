# The flash goes to the network as event 16 of RFC 4733, where such events were agreed on.
with l [call] flash = "network"
l calls 102 and talks
l taps the hook
event 16 goes to r
l is talking
l and r talk
