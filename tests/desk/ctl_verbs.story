# What `offhook ctl` asks for is what a hand does.
also in real time
ctl l dials 102
r rings
ctl r answers
l and r talk
s calls 102
r hears call_waiting
ctl r rejects
s hears busy
s hangs up
s is idle
s calls 102
r hears call_waiting
ctl r answers
r and s talk
ctl r connects all
l and r and s talk
l hangs up
r and s talk
ctl r transfers to 101
l rings
