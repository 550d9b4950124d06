# A phone without settings is dialled as ever, and asks when nothing is dialled.
l has no settings
l calls 102 and talks
l hangs up
r hangs up
l is idle
l lifts
l hears dial
4 s pass
l is set_up
l says choose-language de:choose-language
l presses 2
l says de:ask-country
l presses 49#
l says de:ask-address
l presses 192*168*1*5#
l says de:ask-user
l presses 101#
l says de:ask-password
l presses 4711*#
l says de:server-is de:1 de:9 de:2 de:point de:1 de:6 de:8 de:point de:1 de:point de:5 de:user-is de:1 de:0 de:1 de:ask-save
l presses 1
l says de:saving
l writes country = "de"
l writes language = "de"
l writes user = "101"
l writes password = "4711*"
l writes domain = "192.168.1.5"
l hangs up
l is idle
# Written once, it is not asked for again.
l lifts
l hears dial
5 s pass
l hears dial
l hangs up
