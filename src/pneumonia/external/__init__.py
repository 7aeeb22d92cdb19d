"""Frozen models and thresholds on another set: in comes a folder of data/raw's form, out come its evaluation, what shifted
and a page beside the internal figures. Nothing is chosen on the new set.

Read `validate` first.
"""
