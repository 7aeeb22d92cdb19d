"""Grad-CAM: which places of a feature map raise a score, for any head on it (Selvaraju et al. 2017).

`keras.ops` has no gradients, so the one derivative that is needed stands here once for each backend; the rest is NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Head = Callable[[Any], Any]  # features [B, h, w, C] -> a score before its sigmoid [B], in the backend's tensors


def grad_cam(head: Head, features: Array) -> Array:
    """Maps float32 `[B, h, w]`, zero or above, of features float32 `[B, h, w, C]`.

    Each channel is weighted by the mean over all places of the score's gradient, and what lowers the score is cut off
    (equations 1 and 2). For a head of global average pooling and one dense layer the weights are that layer's over
    h x w, so that the map is the class activation map without its bias, over h x w (section 3.1).
    """
    if features.ndim != 4:
        raise ValueError(f"features must be [B, h, w, C], got {list(features.shape)}")
    weights = gradients(head, features).mean(axis=(1, 2))  # (B, C)
    maps = np.einsum("bhwc,bc->bhw", features, weights, dtype=np.float32)
    return np.maximum(maps, 0.0, dtype=np.float32)


def gradients(head: Head, features: Array) -> Array:
    """The derivative of each study's score by its own features: float32, the shape of `features`."""
    import keras

    backends = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    backend = keras.backend.backend()
    if backend not in backends:
        raise ValueError(f"Grad-CAM needs one of the backends {', '.join(backends)}, got {backend!r}")
    # No study's score depends on another's features: the derivative of the sum is every study's own.
    return np.asarray(backends[backend](head, features), np.float32)


def _tensorflow(head: Head, features: Array) -> Any:
    import tensorflow as tf

    values = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(head(values))
    return tape.gradient(total, values)


def _jax(head: Head, features: Array) -> Any:
    import jax

    return jax.grad(lambda values: head(values).sum())(features)


def _torch(head: Head, features: Array) -> Any:
    import keras
    import torch

    values = keras.ops.convert_to_tensor(features).requires_grad_()
    (gradient,) = torch.autograd.grad(head(values).sum(), values)
    return gradient.cpu()
