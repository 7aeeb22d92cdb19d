"""YOLOv3 and YOLOv3-tiny on Keras 3, with Darknet's formats; see README.md beside this file."""

from keraskit.compute.devices import require_backend

require_backend()  # before the traceback of Keras' own import
