# How well the last call was heard.
with l [phone] language = "en"
l lifts
l presses *57#
l says no-call-yet
l hangs up
l calls 102 and talks
5 s pass
l hangs up
l is idle
r hangs up
l lifts
l presses *57#
l says quality-good
