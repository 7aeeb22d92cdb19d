"""YOLOv3 on studies: in come studies and their boxes, out come detections, through the library `yolov3`.

Read `trained` first (detects); `training` makes what it loads.
"""
