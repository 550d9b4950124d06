# Where the phone speaks German, so does its display, also when a call fails.
with l [phone] language = "de"
with l [dial] digit_map = "[1-8]xx|9xx!"
l has a display
r lifts
l calls 102
l is busy
display of l shows Besetzt (486)
display of l does not show Busy
l hangs up
r hangs up
l lifts
l presses 199
l is congestion
display of l shows Nummer unbekannt
l hangs up
l lifts
l presses 900
l is congestion
display of l shows 900 ist gesperrt
l hangs up
l lifts
l presses *89
l is congestion
display of l shows Noch kein Anrufer
l hangs up
