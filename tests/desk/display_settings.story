# Volumes, do not disturb and forwarding from the menu, in German.
with l [phone] language = "de"
l has a display
l presses 5885
display of l shows > Hörer +0 dB
l presses 5
display of l shows Hörer
l presses 2
display of l shows +3 dB
5 s pass
l keeps "earpiece_db":3
l presses 88
display of l shows -3 dB
l presses ****
l presses 58885
display of l shows > Klingel
l presses 85
display of l shows > Nicht stören an
l keeps "dnd":true
l presses **
display of l shows Nicht stören
r calls 101
l does not ring
r hangs up
l lifts
l presses *79
l hears confirmation
l hangs up
l is idle
l presses 5888585
display of l shows > Nicht stören an
l presses 5
display of l shows > Nicht stören aus
l lifts
l presses *72103
l hears confirmation
l hangs up
l is idle
display of l shows Umgeleitet zu 103
l presses 58885885
display of l shows > Weiterleiten aus
l keeps "forward_always":null
