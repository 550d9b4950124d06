# A board with neither bell nor buzzer rings in its loudspeaker, though no one said so.
with l [audio] ringer_db = -6
with l [audio] ring_sound = "chord"
l has no bell
r calls 101
l rings
the ear of l has -12 dBm0
l presses *
the ear of l is silent
l lifts
l and r talk
