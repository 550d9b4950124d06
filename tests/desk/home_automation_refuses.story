# What is not listed, was kept by the broker, or no one may order is not done.
with l [mqtt] broker = "broker"
with l [mqtt] orders = ["dial"]
the broker of l connects
the broker of l orders ring PRESS
the broker of l orders dnd ON
the broker of l orders ringer_volume 12
l does not ring
the broker of l has dnd OFF
the broker of l has ringer_volume 0
the broker of l keeps dial 102
l does not ring
the broker of l orders dial 112
l does not ring
the broker of l orders dial *78
l does not ring
the broker of l orders dial sip:r@pbx
l does not ring
l lifts
l hears dial
the broker of l orders dial 102
l hears dial
l hangs up
l is idle
the broker of l orders dial 102
l rings
31 s pass
l does not ring
l lifts
l hears dial
l hangs up
