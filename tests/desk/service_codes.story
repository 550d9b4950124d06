# Service codes of the network reach the server whole.
l lifts
l presses #21#
the server gets INVITE sip:%2321%23@
l hangs up
l lifts
l presses *21*0301234#
the server gets INVITE sip:*21*0301234%23@
l hangs up
l lifts
l presses *#06#
the server gets INVITE sip:*%2306%23@
l hangs up
l lifts
l presses *31#0301234
the server gets INVITE sip:*31%230301234@
