"""Focal loss of the classes and Huber loss of the boxes, in `keras.ops`.

Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5, with EfficientDet's numbers (Tan et al. 2020, section 5.1 and
its published code): alpha 0.25, gamma 1.5; boxes from a difference of 0.1 on with the absolute error, weighing 50.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from efficientdet.coding import encode
from efficientdet.targets import Targets

Tensor = Any
ALPHA, GAMMA = 0.25, 1.5
DELTA, BOX_WEIGHT = 0.1, 50.0


def focal(logits: Tensor, wanted: Tensor, alpha: float = ALPHA, gamma: float = GAMMA) -> Tensor:
    """-a (1 - q)^gamma log q of each logit, q the probability given to what is wanted, a `alpha` where that is 1, else its rest.

    Logit 0, wanted 1: 0.25 * 0.5^1.5 * ln 2 = 0.0613.

    Arguments:
        logits: float32, any shape.
        wanted: 0 or 1, the same shape.
    """
    sign = 2 * wanted - 1
    # q = sigmoid(x), so log q = -softplus(-x) and log (1 - q) = -softplus(x): no overflow, and no power of 0
    x = logits * sign
    weight = alpha * wanted + (1 - alpha) * (1 - wanted)
    return weight * ops.exp(-gamma * ops.softplus(x)) * ops.softplus(-x)


def huber(difference: Tensor, delta: float = DELTA) -> Tensor:
    """d^2 / 2 up to `delta`, then delta * (|d| - delta / 2): 0.05 gives 0.00125, 1 gives 0.095."""
    size = ops.abs(difference)
    return ops.where(size <= delta, size * size / 2, delta * (size - delta / 2))


def losses(scores: Tensor, corrections: Tensor, anchors: Tensor, targets: Targets) -> dict[str, Tensor]:
    """The two parts of the loss, each a scalar: `class_loss`, `box_loss`; the loss is their sum.

    Both are divided by the positive anchors of the batch, but by no fewer than it has images: a batch of images
    without a box pulls no harder than another.

    Arguments:
        scores: `[B, N, C]` logits.
        corrections: `[B, N, 4]`, see `coding`.
        anchors: `[N, 4]`.
    """
    positive = ops.cast(targets.positive, "float32")  # (B, N)
    asked = positive + ops.cast(targets.negative, "float32")
    wanted = ops.one_hot(targets.classes, scores.shape[-1], dtype="float32") * positive[..., None]
    classes = ops.sum(focal(scores, wanted), axis=-1) * asked
    boxes = ops.mean(huber(corrections - encode(targets.boxes, anchors)), axis=-1)
    images = ops.cast(ops.shape(positive)[0], "float32")
    count = ops.maximum(ops.sum(positive), images)
    return {
        "class_loss": ops.sum(classes) / count,
        # where, not a product: what an anchor that answers for nothing should say may be any number
        "box_loss": BOX_WEIGHT * ops.sum(ops.where(targets.positive, boxes, ops.zeros_like(boxes))) / count,
    }
