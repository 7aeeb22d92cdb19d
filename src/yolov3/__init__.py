"""YOLOv3 and YOLOv3-tiny on Keras 3, with Darknet's formats; see README.md beside this file."""
