# A phone that may answer by itself does so when it is asked; its microphone waits for the hand.
with r [call] auto_answer = 20000
l lifts
l presses *80102
r is talking
r lifts
l and r talk
