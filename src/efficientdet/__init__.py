"""EfficientDet on Keras 3: in come images and a backbone, out come boxes; see README.md beside this file."""

from keraskit.compute.devices import require_backend

require_backend()  # before the traceback of Keras' own import
