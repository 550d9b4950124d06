# Callers by pattern: some hear busy, some ring without a sound, some are answered by the mailbox.
also in real time, at length
with l [dial] voicemail = "103"
with l [call.screen] "102" = "voicemail"
r calls 101
s rings
s lifts
r and s talk
s hangs up
r hangs up
l does not ring
s calls 101
l rings
l sees 103
