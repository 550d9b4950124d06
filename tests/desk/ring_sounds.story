# Each ring has its sound, and one that cannot be played gives way to the phone's own bell.
also in real time
with l [board] ringer = "sound"
with l [audio] ring_sound = "missing.wav"
with l [audio.ring_sounds] 2 = "chord"
with l [call.ring] "103" = 2
r calls 101
l rings
the ear of l has -6 dBm0
r hangs up
1 s passes
s calls 101
l rings
the ear of l has -6 dBm0
