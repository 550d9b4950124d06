# A call on hold that no one listens to is called to mind by the bell.
with l [call] flash = "key"
with l [call] hold_reminder_s = 10
with l [call] howler_after_s = 5
l calls 102 and talks
l flashes
l hears recall_dial
30 s pass
l hears congestion
6 s pass
l is on_hold
l does not ring
7 s pass
l rings
l flashes
l and r talk
l does not ring
