"""Mask R-CNN on studies: in come studies and their boxes, out come detections, through the library `mrcnn`.

Read `network` first, then `trained` (detects); `training` makes what `trained` loads.
"""
