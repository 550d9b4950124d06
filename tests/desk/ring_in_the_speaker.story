# A phone without a bell rings in its loudspeaker, as loud as its owner wants.
also in real time
with l [board] ringer = "sound"
with l [audio] ring_sound = "chord"
with l [audio] ringer_db = -6
r calls 101
l rings
lamp ringing of l is fast
the ear of l has -12 dBm0
# The mute key silences it; lifting answers.
l presses the mute key
the ear of l is silent
l lifts
lamp ringing of l is off
l and r talk
