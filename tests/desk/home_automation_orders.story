# What the owner lists is done as a hand would do it: ring, ring to dial, do not disturb, volume.
with l [mqtt] broker = "broker"
with l [mqtt] orders = ["ring", "dial", "dnd", "volume"]
the broker of l connects
the broker of l orders ring PRESS
l rings
l is idle
5 s pass
l does not ring
the broker of l orders dial 102
l rings
lamp ringing of l is fast
l is idle
l lifts
l is calling
r rings
r lifts
l and r talk
l hangs up
l is idle
r hangs up
the broker of l orders ring PRESS
l rings
l presses the mute key
l does not ring
the broker of l orders dnd ON
the broker of l has dnd ON
the broker of l orders ring PRESS
l does not ring
r calls 101
r hears busy
r hangs up
5 s pass
l keeps "dnd":true
the broker of l orders dnd OFF
the broker of l has dnd OFF
the broker of l orders ringer_volume -6
the broker of l has ringer_volume -6
r calls 101
l rings
the broker of l orders dial 103
l lifts
l and r talk
l hangs up
l is idle
r hangs up
