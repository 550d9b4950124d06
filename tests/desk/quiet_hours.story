# In quiet hours the bell is silent and the lamps show who calls; some ring all the same.
also in real time
with l [system] time_zone = "UTC0"
with l [call] quiet_hours = "00:00-23:59"
with l [call] quiet_except = ["103"]
r calls 101
l is ringing
l does not ring
lamp ringing of l is fast
l lifts
l and r talk
l hangs up
l is idle
r hangs up
s calls 101
l rings
