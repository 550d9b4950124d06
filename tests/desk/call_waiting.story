# A second caller is refused by 0, or answered by the flash alone.
also on gpio-sim
also in real time
with l [call] flash = "key"
l calls 102 and talks
s calls 101
l hears call_waiting
l flashes
l presses 0
s hears busy
l hears nothing
s hangs up
l and r talk
s calls 101
l hears call_waiting
l flashes
2 s pass
l and s talk
l flashes
2 s pass
l and r talk
