# The flash goes to the network, which does what it likes; the call goes on here.
with l [call] flash = "network"
with l [call] dtmf = "info"
with r [call] dtmf = "info"
l calls 102 and talks
l taps the hook
the server gets INFO
l is talking
l and r talk
