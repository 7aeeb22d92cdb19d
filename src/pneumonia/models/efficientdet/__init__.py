"""EfficientDet on studies: in come studies and their boxes, out come detections, through the library `efficientdet`.

Read `trained` first (detects); `training` makes what it loads, `network` is what both build.
"""
