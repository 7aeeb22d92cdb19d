"""Is one better than another? In come two models, revisions or the folds of an experiment, out comes a comparison with intervals.

Read `comparison` first.
"""
