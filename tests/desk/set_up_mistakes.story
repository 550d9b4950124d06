# What makes no sense is asked for again; hanging up leaves, and nothing is written.
l has no settings
l lifts
4 s pass
l is set_up
l presses 5
l says not-possible choose-language de:choose-language
l presses 1
l says ask-country
l presses 999#
l says not-possible ask-country
l presses 1#
l says ask-address
l presses 300*1*1*1#
l says not-possible ask-address
l hangs up
l is idle
# From the beginning again; a key need not wait for the end of a sentence.
l lifts
4 s pass
l is set_up
l presses 11#
l says ask-address
l presses 10*0*0*9#7#8#
l says server-is 1 0 point 0 point 0 point 9 user-is 7 ask-save
l presses 2
l says ask-country
# No one answers: the question twice more, then the tone of a handset that was put aside.
53 s pass
l is set_up
l says ask-country
200 s pass
l is silent
l hangs up
l is idle
