# After the confirmation tone the phone says what was set.
with l [phone] language = "en"
with s [phone] speech = false
l lifts
l presses *78
l hears confirmation
l says dnd-on
l hears dial
l presses *79
l hears confirmation
l says dnd-off
l hangs up
r lifts
r presses *72103
r hears confirmation
r says de:forward-always de:1 de:0 de:3
r hangs up
s lifts
s presses *78
s hears confirmation
4 s pass
s hears confirmation
s hangs up
