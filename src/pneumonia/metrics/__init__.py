"""Measures as pure functions of arrays: in come scores, boxes and truths, out come numbers, under any weighting of the studies.

Read `matching` first.
"""
