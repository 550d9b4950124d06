# While the phone rings, one key silences the bell and another refuses the call.
also on gpio-sim
also in real time
r calls 101
l rings
lamp in_use of l is fast
l presses *
l does not ring
r hears ringback
l lifts
l and r talk
r hangs up
r is idle
l hangs up
l is idle
r calls 101
l rings
l presses #
r hears busy
l is idle
