"""What a prediction costs: the original loss of YOLOv3, and CIoU for the boxes.

All losses are sums over places, divided by the number of images: an image without boxes costs what its false alarms
cost, and a batch of such images has no number of positives to divide by.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from yolov3.decode import MAX_LOG_SIDE, Places, Predictions
from yolov3.targets import Targets

Tensor = Any
LOSSES = ("ciou", "darknet")
CIOU_WEIGHT = 2.0  # of the box part beside objectness; a positive place costs at most about 3 of it


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """CIoU of pairs of boxes, `[..., 4]` (x1, y1, x2, y2) each -> `[...]`: 1 for equal boxes, below 0 far apart.

    IoU, less the squared distance of the centres over the squared diagonal of the box around both, less a penalty
    on a wrong aspect ratio (Zheng et al. 2020, "Distance-IoU Loss", section 3.3; the penalty's weight alpha is a
    constant to the gradient, as there).
    """
    a_size = ops.maximum(a[..., 2:] - a[..., :2], 1e-6)
    b_size = ops.maximum(b[..., 2:] - b[..., :2], 1e-6)
    sides = ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2])
    shared = ops.prod(ops.maximum(sides, 0.0), axis=-1)
    union = ops.prod(a_size, axis=-1) + ops.prod(b_size, axis=-1) - shared
    iou = shared / union

    around = ops.maximum(a[..., 2:], b[..., 2:]) - ops.minimum(a[..., :2], b[..., :2])
    diagonal = ops.maximum(ops.sum(around**2, axis=-1), 1e-9)
    apart = a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]  # twice the distance
    distance = ops.sum(apart**2, axis=-1) / 4 / diagonal

    angle = ops.arctan(b_size[..., 0] / b_size[..., 1]) - ops.arctan(a_size[..., 0] / a_size[..., 1])
    aspect = 4 / math.pi**2 * angle**2
    alpha = ops.stop_gradient(aspect / ops.maximum(1 - iou + aspect, 1e-9))
    return iou - distance - alpha * aspect


def losses(
    predictions: Predictions,
    places: Places,
    targets: Targets,
    kind: str,
    size: float,
    objectness_balance: float,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """The three parts of the loss, each a scalar: `box_loss`, `objectness_loss`, `class_loss`; the loss is their sum.

    Arguments:
        kind: `ciou`, or `darknet` for the paper's: cross entropy of the centre, half the squared error of the log
            sides, both weighted with 2 - the box's share of the image. (Darknet writes the derivatives down,
            not the loss; these are its.)
        size: pixels, side of the input.
        objectness_balance: weight of the objectness of places that answer for nothing.
        label_smoothing: the objectness of a place that answers for a box should be 1 - this; the many others' stays 0.
    """
    if kind not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {kind!r}")
    positive = ops.cast(targets.positive, "float32")  # (B, N)
    negative = 1.0 - ops.cast(ops.logical_or(targets.positive, targets.ignored), "float32")
    images = ops.cast(ops.shape(positive)[0], "float32")

    if kind == "ciou":
        box = CIOU_WEIGHT * (1 - complete_iou(predictions.boxes, targets.boxes))
    else:
        box = _darknet_box(predictions, places, targets, size)
    objectness = _cross_entropy(predictions.objectness, positive * (1.0 - label_smoothing)) * (
        positive + objectness_balance * negative
    )
    wanted = ops.one_hot(targets.classes, predictions.raw.shape[-1] - 5)
    classes = ops.sum(_cross_entropy(predictions.classes, wanted), axis=-1)
    # where, not a product: a place that answers for nothing may hold any number, infinity among them
    none = ops.zeros_like(positive)
    return {
        "box_loss": ops.sum(ops.where(targets.positive, box, none)) / images,
        "objectness_loss": ops.sum(objectness) / images,
        "class_loss": ops.sum(ops.where(targets.positive, classes, none)) / images,
    }


def _darknet_box(predictions: Predictions, places: Places, targets: Targets, size: float) -> Tensor:
    sides = ops.maximum(targets.boxes[..., 2:] - targets.boxes[..., :2], 1e-6)
    centres = (targets.boxes[..., 2:] + targets.boxes[..., :2]) / 2
    offset = (centres - places.cells) / places.strides[:, None]  # 0 to 1 where positive
    log_sides = ops.log(sides / places.anchors)
    weight = 2 - ops.prod(sides, axis=-1) / size**2
    centre_loss = ops.sum(_cross_entropy(predictions.raw[..., 0:2], offset), axis=-1)
    log_sides_now = ops.minimum(predictions.raw[..., 2:4], MAX_LOG_SIDE)
    side_loss = ops.sum((log_sides_now - log_sides) ** 2, axis=-1) / 2
    return weight * (centre_loss + side_loss)


def _cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross entropy of logits, without overflow: log(1 + e^x) - x * wanted."""
    return ops.softplus(logits) - logits * wanted
