# The volume keys change what is heard, and what is set stays.
also in real time
l lifts
l hears dial
the ear of l has -13 dBm0
l presses the volume-down key
l presses the volume-down key
the ear of l has -19 dBm0
l presses the volume-up key
the ear of l has -16 dBm0
3 s pass
l keeps "earpiece_db":-3
ctl l sets earpiece to 6 dB
the ear of l has -7 dBm0
l hangs up
l is idle
# On hook they are the bell's.
l presses the volume-down key
4 s pass
l keeps "ringer_db":-3
l keeps "earpiece_db":6
