"""Mask R-CNN on Keras 3 (TensorFlow, JAX, PyTorch): Matterport's configuration, calls, weight files and numbers."""

__version__ = "0.1.0"
