"""The classifier: in come studies and whether they are positive, out come scores and what they come from.

Read `network` first, then `trained` (scores and activation maps); `training` makes what `trained` loads.
"""
