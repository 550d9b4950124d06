# A tone says that it failed, words say why.
with l [phone] language = "en"
with l [dial] digit_map = "[1-7]xx|8xx!"
l lifts
l presses 801
l hears congestion
l says barred
l hears congestion
l hangs up
l lifts
l presses *89
l hears congestion
l says no-one-called
l hangs up
# A number the server does not know.
l calls 199
l hears congestion
l says unknown-number
l hears congestion
l hangs up
l is idle
