# Home automation learns what the phone does, and keys in a call open the door.
with l [actions] ringing = "http://house/ring?from={number}"
with l [actions] answered = "http://house/answered"
with l [actions] hung_up = "http://house/rest"
with l [actions] door = "http://house/door"
with l [actions] door_code = "*9"
with l [actions] dnd_on = "http://house/quiet"
with l [dial.feature_keys] 1 = "door"
r calls 101
l rings
l fetches http://house/ring?from=102
l lifts
l fetches http://house/answered
l presses *9
l fetches http://house/door
l hangs up
l is idle
l fetches http://house/rest
r hangs up
l lifts
l presses *78
l fetches http://house/quiet
