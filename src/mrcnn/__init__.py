"""Mask R-CNN on Keras 3: Matterport's configuration, calls, weight files and numbers, on TensorFlow, JAX and PyTorch."""

__version__ = "0.1.0"
