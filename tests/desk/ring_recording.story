# A recording of one's own rings, for every call or for one caller, and ends when the handset is
# lifted.
with l [board] ringer = "sound"
with l [audio] ring_sound = "gong.wav"
with l [audio.ring_sounds] 2 = "aunt.opus"
with l [call.ring] "103" = 2
the card of l has gong.wav
r calls 101
l rings
l hears the recording gong.wav
l lifts
l and r talk
l hangs up
l is idle
r hangs up
# Another caller has a recording of its own, and a ring whose file is missing is the phone's own
# bell.
the card of l has aunt.opus
s calls 101
l rings
l hears the recording aunt.opus
l presses *
the ear of l is silent
s hangs up
l is idle
r calls 101
l rings
the ear of l has -6 dBm0
