# A broker of home automation has what the phone does, and who calls only where the owner allows it.
with l [mqtt] broker = "broker"
with r [mqtt] broker = "broker"
with r [mqtt] callers = true
the broker of l has nothing
the broker of l connects
the broker of r connects
the broker of l has registered ON
the broker of l has state idle
the broker of l has ringing OFF
the broker of l has availability online
r calls 101
l rings
the broker of l has ringing ON
the broker of l has event ringing
the broker of r has number 101
the broker of l never learns 102
l lifts
the broker of l has in_use ON
the broker of l has event answered
l presses the mute key
the broker of l has muted ON
l hangs up
l is idle
the broker of l has event hung_up
the broker of l has in_use OFF
r hangs up
r is idle
the broker of r never learns 101
r calls 101
l rings
r hangs up
l is idle
the broker of l has missed ON
the broker of l is lost
l lifts
l hears dial
l presses *78
l hangs up
l is idle
the broker of l has nothing
the broker of l connects
the broker of l has missed OFF
the broker of l has dnd ON
