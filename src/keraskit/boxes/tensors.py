"""Box arithmetic in `keras.ops`: batched, static shapes, every backend.

A box is four floats, two opposite corners: `(x1, y1, x2, y2)` or `(y1, x1, y2, x2)`, low corner first. Nothing here
cares which of the two orders it is, nor whether the unit is pixels or shares of an image, as long as all arguments
agree.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any
"""A backend tensor, or anything `keras.ops.convert_to_tensor` takes."""


def area(boxes: Tensor) -> Tensor:
    """Areas `[...]` of `boxes` `[..., 4]`, in squared units; 0 where the corners are out of order."""
    sides = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of `a` with every box of `b`.

    Arguments:
        a: `[..., N, 4]` float.
        b: `[..., M, 4]` float, the same leading dimensions (or ones that broadcast) and the same frame as `a`.

    Returns:
        `[..., N, M]` float from 0 to 1; 0 where both boxes are empty.
    """
    a, b = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
    u, v = a[..., :, None, :], b[..., None, :, :]
    # One coordinate at a time: [..., N, M] instead of [..., N, M, 2] keeps the inner loop contiguous, about twice as
    # fast on a CPU.
    first = ops.maximum(ops.minimum(u[..., 2], v[..., 2]) - ops.maximum(u[..., 0], v[..., 0]), 0)
    second = ops.maximum(ops.minimum(u[..., 3], v[..., 3]) - ops.maximum(u[..., 1], v[..., 1]), 0)
    intersection = first * second
    union = area(a)[..., :, None] + area(b)[..., None, :] - intersection
    return ops.where(union > 0, intersection / ops.where(union > 0, union, 1), 0)


def clip(boxes: Tensor, window: Tensor) -> Tensor:
    """Move the corners of `boxes` `[..., 4]` into `window` `[4]` or `[..., 4]`, of the same frame and order.

    A box wholly outside collapses to zero area on the border.
    """
    boxes, window = ops.convert_to_tensor(boxes), ops.convert_to_tensor(window)
    low = ops.concatenate([window[..., :2], window[..., :2]], axis=-1)
    high = ops.concatenate([window[..., 2:], window[..., 2:]], axis=-1)
    return ops.minimum(ops.maximum(boxes, low), high)
