"""Boxes: in comes `[N, 4]` of two corners, out come overlaps, the boxes that stay, how well they fit the truth.

Read `arrays` first (NumPy); `tensors` and `nms` are the same in `keras.ops`, inside a network.
"""
