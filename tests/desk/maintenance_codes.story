# Codes for the appliance: each is confirmed, and done once.
l lifts
l presses *94#
l hears confirmation
l does bundle
l presses *95#
l hears confirmation
l does self-test
l hangs up
l lifts
l presses *96#
l hears confirmation
l does reboot
l hangs up
l lifts
l presses *99*7378#
l hears confirmation
l does factory-reset
# A slip of the finger does nothing.
l hangs up
l lifts
l presses *99*7379#
l hears congestion
l hangs up
l lifts
l presses *59#
l hears confirmation
l does history-to-card
# A server that sets the phone up; half an address is none.
l hangs up
l lifts
l presses **73887*192*168*1*5#
l hears confirmation
l is set up by https://192.168.1.5/
l hangs up
l lifts
l presses **73887*192*168#
l hears congestion
