# The phone says its number, whether it is registered, and its address; German is spoken in German.
with l [phone] language = "en"
with s [phone] language = "en"
with s [phone] speech = false
l lifts
l hears dial
l presses *55#
l says your-number 1 0 1 registered
l hears dial
l hangs up
r lifts
r presses *55#
r says de:your-number de:1 de:0 de:2 de:registered
r hangs up
l lifts
l presses *56#
l says your-address 1 0 point 0
l hangs up
# Nothing is said any more once the handset is down, and a key ends it.
l lifts
l presses *55#
0.5 s pass
l presses 102
r rings
l hangs up
r is idle
# Asked for, it is said even where tones are not explained.
s lifts
s presses *55#
s says your-number 1 0 3 registered
s hangs up
