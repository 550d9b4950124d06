# A missed call blinks until the handset is lifted.
also on gpio-sim
also in real time
lamp message of l is off
r calls 101
l rings
r hangs up
l is idle
lamp message of l is slow
l lifts
lamp message of l is off
