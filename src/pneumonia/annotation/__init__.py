"""Boxes to annotation tools and back, and which studies are worth a second look: in come labels and predictions, out come
files of Label Studio, CVAT and COCO, corrected label tables and a list of disagreements.

Read `send` and `corrected` first; a module a tool writes and reads its file.
"""
