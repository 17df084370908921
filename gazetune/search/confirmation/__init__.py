"""The end of a search: its best trials are trained again on other folds, and the chosen one is compared on test.

runs.py     which trainings that takes, with which folds and seeds
choice.py   which candidate is chosen, from the margins of all folds
arms.py     what the chosen one, the runs without gaze and the controls reach on test
perform.py  training and scoring them in all slots, and what is written down of each
confirm.py  the whole of it
"""
