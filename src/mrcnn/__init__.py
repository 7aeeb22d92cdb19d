"""Mask R-CNN on Keras 3 (TensorFlow, JAX, PyTorch): Matterport's configuration, calls, weight files and numbers."""

from keraskit.compute.devices import require_backend

require_backend()  # before the traceback of Keras' own import
