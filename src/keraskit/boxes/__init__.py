"""Boxes: in comes `[N, 4]` of two corners, out come overlaps, other ways to write them, and those that stay.

Read `arrays` first (NumPy); `tensors` and `nms` are the same in `keras.ops`, inside a network.
"""
