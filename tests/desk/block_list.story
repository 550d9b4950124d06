# A blocked caller is refused, another rings.
also in real time
with l [call] block = ["102"]
r calls 101
r hears busy
l does not ring
r hangs up
s calls 101
l rings
