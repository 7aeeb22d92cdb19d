"""Training: in come a compiled model and the batches of an epoch, out come its best weights and the history.

Read `fit` first: it resumes, stops early and keeps the best epoch.
"""
