"""Does gaze carry anything about the preference beyond length? Asked of summaries, without a model of the text.

features.py       a reply's length and its measures -> numbers that describe it
crossvalidate.py  a regularised logistic regression, scored on groups of pairs that it was not fitted on
sample.py         the pairs that are looked at
run.py            which sets of numbers are compared, and what follows from it
"""
