"""What the predictions are worth: in come predictions and labels, out come metrics/evaluation.json, the tables and the curves.

Read `evaluate` first, then `thresholds`, `measured` and `estimates`, which cross-validation and comparisons share.
"""
