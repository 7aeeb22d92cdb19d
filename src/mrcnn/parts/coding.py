"""Boxes as corrections of other boxes, in `keras.ops` (Girshick et al. 2014, R-CNN, appendix C).

A delta is `(dy, dx, log dh, log dw)`: shift of the centre in heights and widths of the box, logarithm of the growth.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any
TINY = 1e-8  # of a side, in any unit: keeps padding (boxes of zeros) finite and cannot change a real box


def box_refinement(boxes: Tensor, targets: Tensor) -> Tensor:
    """Deltas `[..., (dy, dx, log dh, log dw)]` that turn `boxes` into `targets`, both `[..., (y1, x1, y2, x2)]`.

    Any unit; a box without area gives finite nonsense, to be masked by the caller.
    """
    boxes, targets = ops.convert_to_tensor(boxes), ops.convert_to_tensor(targets)
    sides = ops.maximum(boxes[..., 2:] - boxes[..., :2], TINY)
    wanted = ops.maximum(targets[..., 2:] - targets[..., :2], TINY)
    shift = (targets[..., :2] + 0.5 * wanted - boxes[..., :2] - 0.5 * sides) / sides
    return ops.concatenate([shift, ops.log(wanted / sides)], axis=-1)


def apply_box_deltas(boxes: Tensor, deltas: Tensor) -> Tensor:
    """The inverse: `boxes` `[..., (y1, x1, y2, x2)]` corrected by `deltas` `[..., (dy, dx, log dh, log dw)]`."""
    boxes, deltas = ops.convert_to_tensor(boxes), ops.convert_to_tensor(deltas)
    sides = boxes[..., 2:] - boxes[..., :2]
    centers = boxes[..., :2] + 0.5 * sides + deltas[..., :2] * sides
    # A growth beyond e^8 leaves any image; bounding it keeps an untrained network's boxes finite.
    grown = sides * ops.exp(ops.minimum(deltas[..., 2:], 8.0))
    low = centers - 0.5 * grown
    return ops.concatenate([low, low + grown], axis=-1)
