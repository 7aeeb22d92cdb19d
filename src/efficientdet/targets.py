"""Which anchor answers for which truth box, in tensors of fixed shape.

An anchor answers for the box that it overlaps most, where that is by `positive_iou` or more; for nothing where it overlaps
none by `negative_iou`; between the two it is not asked (Lin et al. 2017, "Focal Loss", section 4). A box that no anchor overlaps
so much still has those that overlap it most. Where two boxes want one anchor so, the one that it overlaps more has it, then the
earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from keraskit.boxes import tensors as box_ops

Tensor = Any


@dataclass(frozen=True)
class Targets:
    """What each of the N anchors should say.

    Attributes:
        positive: `[B, N]` bool, the anchor answers for a truth box.
        negative: `[B, N]` bool, it answers for nothing.
        boxes: `[B, N, 4]` float32 that box (x1, y1, x2, y2) in pixels; any numbers where not positive.
        classes: `[B, N]` int32 its class; 0 where not positive.
    """

    positive: Tensor
    negative: Tensor
    boxes: Tensor
    classes: Tensor


def assign(truths: Tensor, classes: Tensor, anchors: Tensor, positive_iou: float, negative_iou: float) -> Targets:
    """Assign truth boxes to anchors.

    Arguments:
        truths: `[B, M, 4]` float32 (x1, y1, x2, y2), pixels; rows of no area are padding; M at least 1.
        classes: `[B, M]` int32.
        anchors: `[N, 4]`, the same frame.
        positive_iou, negative_iou: see above.
    """
    truths = ops.cast(truths, "float32")
    overlap = box_ops.iou(anchors[None], truths)  # (B, N, M); padding overlaps nothing
    best = ops.max(overlap, axis=1, keepdims=True)  # (B, 1, M)
    nearest = ops.logical_and(overlap >= best, overlap > 0)
    # Above 1 where no anchor is nearer to the box, so that such a claim wins over any overlap.
    claim = overlap + ops.cast(nearest, "float32")
    owner = ops.cast(ops.argmax(claim, axis=-1), "int32")  # (B, N); the first of equal claims
    most = ops.max(overlap, axis=-1)
    positive = ops.logical_or(ops.any(nearest, axis=-1), most >= positive_iou)
    taken = ops.take_along_axis(ops.cast(classes, "int32"), owner, axis=1)
    return Targets(
        positive=positive,
        negative=ops.logical_and(most < negative_iou, ops.logical_not(positive)),
        boxes=ops.take_along_axis(truths, owner[..., None], axis=1),
        classes=ops.where(positive, taken, 0),
    )
