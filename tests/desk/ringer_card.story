# A bell with a sound card of its own rings there alone: the handset is silent, and calls are.
with l [audio] ringer_card = "hw:2"
with l [audio] ring_sound = "chord"
with l [audio] ringer_db = -6
l has a ringer card
the ringer card of l is silent
r calls 101
l rings
the ringer card of l has -12 dBm0
the ear of l is silent
l presses the mute key
the ringer card of l is silent
l lifts
l and r talk
the ringer card of l is silent
# A second caller is heard in the handset.
s calls 101
l hears call_waiting
the ringer card of l is silent
s hangs up
l hangs up
l is idle
r hangs up
