"""Which place of the heads answers for which truth box, in tensors of fixed shape.

As in Redmon and Farhadi 2018, section 2.1: the cell that holds the centre of a truth box answers for it, through
the anchor whose shape is most like it (IoU of the two, corners laid together), of all heads. With `also_above`
below 1, every other anchor that is so similar answers too, at the cell of its own head: two to four times as many
positives, and of several boxes in one cell each still finds a free anchor.
Where two truth boxes want one place, the one whose best anchor it is has it, then the one of the more similar
shape, then the earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from keraskit.boxes import tensors as box_ops
from yolov3.decode import Places

Tensor = Any


@dataclass(frozen=True)
class Targets:
    """What each of the N places should say.

    Attributes:
        positive: `[B, N]` bool, the place answers for a truth box.
        boxes: `[B, N, 4]` float32 that box (x1, y1, x2, y2) in pixels of the input; any numbers where not positive.
        classes: `[B, N]` int32 its class; 0 where not positive.
        ignored: `[B, N]` bool, the place answers for nothing, but its prediction overlaps a truth box so well that
            it is not punished.
    """

    positive: Tensor
    boxes: Tensor
    classes: Tensor
    ignored: Tensor


def shape_iou(sizes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes laid on one corner: widths and heights `[..., M, 2]` against `[K, 2]` -> `[..., M, K]`."""
    sizes, anchors = sizes[..., :, None, :], anchors[None, :, :]
    shared = ops.prod(ops.minimum(sizes, anchors), axis=-1)
    union = ops.prod(sizes, axis=-1) + ops.prod(anchors, axis=-1) - shared
    return shared / ops.maximum(union, 1e-9)


def assign(
    truths: Tensor, classes: Tensor, predicted: Tensor, places: Places, ignore_threshold: float, also_above: float = 1.0
) -> Targets:
    """Assign truth boxes to places.

    Arguments:
        truths: `[B, M, 4]` float32 (x1, y1, x2, y2), pixels of the input; rows of no area are padding; M at least 1.
        classes: `[B, M]` int32.
        predicted: `[B, N, 4]` boxes as predicted now, in the same frame; no gradient flows through them.
        places: of the N predictions.
        ignore_threshold: IoU of a prediction with a truth box above which it is ignored rather than negative.
        also_above: shape IoU above which an anchor answers too though another is more similar; 1.0 for the best
            anchor only (the paper).
    """
    truths = ops.cast(truths, "float32")
    sizes = truths[..., 2:] - truths[..., :2]  # (B, M, 2)
    valid = ops.min(sizes, axis=-1) > 0  # (B, M)

    # Which places are of the right cell, (B, M, N). Half-open cells: a centre on the line between two belongs to
    # the right, lower one.
    centres = (truths[..., :2] + truths[..., 2:]) / 2
    offset = (centres[..., :, None, :] - places.cells) / places.strides[:, None]
    here = ops.all(ops.logical_and(offset >= 0, offset < 1), axis=-1)
    here = ops.logical_and(here, valid[..., None])

    similar = shape_iou(sizes, places.anchors)  # (B, M, N)
    best = similar >= ops.max(similar, axis=-1, keepdims=True)
    wanted = ops.logical_and(here, ops.logical_or(best, similar > also_above))

    # Above 1 where it is the best anchor, so that such a claim wins whatever the other's similarity.
    claim = ops.where(wanted, similar + ops.cast(best, "float32"), 0.0)
    positive = ops.any(wanted, axis=1)  # (B, N)
    owner = ops.cast(ops.argmax(claim, axis=1), "int32")  # (B, N); the first of equal claims

    overlap = ops.max(box_ops.iou(ops.stop_gradient(ops.convert_to_tensor(predicted)), truths), axis=-1)
    ignored = ops.logical_and(overlap > ignore_threshold, ops.logical_not(positive))
    return Targets(
        positive=positive,
        boxes=ops.take_along_axis(truths, owner[..., None], axis=1),
        classes=ops.where(positive, ops.take_along_axis(ops.cast(classes, "int32"), owner, axis=1), 0),
        ignored=ignored,
    )
