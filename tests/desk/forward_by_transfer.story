# A server that refuses redirections: the phone calls the other number itself, and connects the two.
the server refuses redirections
with l [account] forwarding = "transfer"
l lifts
l presses *72103
l hears confirmation
l hangs up
r calls 101
r hears ringback
s rings
l does not ring
s lifts
r and s talk
l is idle
# The handset is free meanwhile, and when one hangs up, both end.
r hangs up
s hears congestion
s hangs up
s is idle
# The other number is busy: so the caller hears busy.
s lifts
r calls 101
r hears busy
r hangs up
s hangs up
# The caller gives up: the other number rings no more.
r calls 101
s rings
r hangs up
1 s passes
s does not ring
s is idle
# With the handset lifted it goes the same way.
l lifts
l presses *73
l hears confirmation
l presses *90103
l hears confirmation
r calls 101
s rings
s lifts
r and s talk
r hangs up
s hangs up
