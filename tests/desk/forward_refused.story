# The same server and a phone that only redirects: the caller hears that it does not work.
the server refuses redirections
l lifts
l presses *72103
l hears confirmation
l hangs up
r calls 101
r hears congestion
s does not ring
l is idle
