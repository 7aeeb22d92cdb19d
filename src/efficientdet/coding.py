"""Boxes as corrections of anchors, in `keras.ops` (Girshick et al. 2014, R-CNN, appendix C).

A correction is `(dx, dy, log dw, log dh)`: shift of the centre in widths and heights of the anchor, logarithm of the growth.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any
MAX_LOG_SIDE = 8.0  # sides stop at anchor * e^8, so that an untrained head cannot overflow float32 areas


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Corrections `[..., N, 4]` that turn `anchors` `[N, 4]` into `boxes` `[..., N, 4]`, both (x1, y1, x2, y2).

    A box without area gives finite nonsense, to be masked by the caller.
    """
    sides, wanted = anchors[..., 2:] - anchors[..., :2], ops.maximum(boxes[..., 2:] - boxes[..., :2], 1e-6)
    shift = (boxes[..., :2] + wanted / 2 - anchors[..., :2] - sides / 2) / sides
    return ops.concatenate([shift, ops.log(wanted / sides)], axis=-1)


def decode(corrections: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `encode`: boxes `[..., N, 4]` (x1, y1, x2, y2), not clipped."""
    sides = anchors[..., 2:] - anchors[..., :2]
    centers = anchors[..., :2] + sides / 2 + corrections[..., :2] * sides
    halves = sides * ops.exp(ops.minimum(corrections[..., 2:], MAX_LOG_SIDE)) / 2
    return ops.concatenate([centers - halves, centers + halves], axis=-1)
