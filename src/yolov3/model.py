"""YOLOv3 as one Keras model: a batch of images to raw heads, a loss to train with, and detections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keraskit.boxes import tensors as box_ops
from keraskit.boxes.nms import non_max_suppression
from keraskit.compute.backend import device_share
from yolov3 import network
from yolov3.cfg import Description
from yolov3.decode import decode
from yolov3.losses import losses
from yolov3.targets import assign

Tensor = Any
# Shape IoU above which, with `ciou`, further anchors answer for a truth box: the box of such an anchor would already
# count as found at the metric's IoU of 0.5, so calling it empty teaches the opposite of what is measured.
ALSO_ABOVE = 0.5


class Yolo(keras.Model):
    """YOLOv3, ready for `compile` and `fit`.

    Call: images `[B, S, S]`, `[B, S, S, 1]` or `[B, S, S, 3]`, uint8 0 to 255 or float 0 to 1 (gray is repeated for
    the three channels) -> list of raw heads. Fit: such images, and truth boxes as `{"boxes": [B, M, 4] float32,
    "classes": [B, M] int32}` or the boxes alone (class 0), (x1, y1, x2, y2) in pixels of those images, rows of no area
    being padding. Compile without a loss: `compute_loss` is the model's own, and its parts are logged as `box_loss`,
    `objectness_loss`, `class_loss`.

    Arguments:
        description: from `yolov3.architectures.describe` or a `.cfg` file.
        loss: `ciou` or `darknet`. With `ciou`, all anchors of a shape IoU above 0.5 answer for a truth box; with
            `darknet` the best alone does.
        objectness_balance: weight of the objectness of empty places.
        any_size: train and detect at any multiple of the largest stride.
        seed: of the initial weights.
        label_smoothing: the objectness of a place that answers for a box should be 1 - this.
    """

    def __init__(
        self,
        description: Description,
        loss: str = "ciou",
        objectness_balance: float = 1.0,
        any_size: bool = False,
        seed: int = 0,
        label_smoothing: float = 0.0,
        name: str = "yolov3",
    ) -> None:
        super().__init__(name=name)
        self.description = description
        self.kind = loss
        self.objectness_balance, self.label_smoothing = objectness_balance, label_smoothing
        self.network = network.build(description, any_size=any_size, seed=seed)
        self.parts = [keras.metrics.Mean(name=part) for part in ("box_loss", "objectness_loss", "class_loss")]
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> list[Tensor]:
        """Raw heads of a batch of images."""
        return network.forward(self.network, to_unit(images, self.description.channels), training)

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """The sum of the three parts of the loss; see `yolov3.losses`."""
        height = x.shape[1]
        predictions, places = decode(y_pred, self.description, height)
        boxes = y["boxes"] if isinstance(y, Mapping) else y
        classes = y["classes"] if isinstance(y, Mapping) else ops.zeros_like(boxes[..., 0], dtype="int32")
        targets = assign(
            boxes,
            classes,
            predictions.boxes,
            places,
            self.description.heads[0].ignore_threshold,
            also_above=ALSO_ABOVE if self.kind == "ciou" else 1.0,
        )
        parts = losses(predictions, places, targets, self.kind, height, self.objectness_balance, self.label_smoothing)
        for metric in self.parts:
            metric.update_state(parts[metric.name])
        return device_share(parts["box_loss"] + parts["objectness_loss"] + parts["class_loss"])


def to_unit(images: Tensor, channels: int) -> Tensor:
    """Images as the network wants them, float `[B, S, S, channels]`, 0 to 1: uint8 divided by 255, gray repeated."""
    if len(images.shape) == 3:
        images = images[..., None]
    whole = "int" in keras.backend.standardize_dtype(images.dtype)
    images = ops.cast(images, keras.config.floatx())
    if whole:
        images = images / 255
    return ops.repeat(images, channels, axis=-1) if images.shape[-1] == 1 and channels > 1 else images


class Detector(keras.Model):
    """A network with decoding and exact non-maximum suppression, for `predict`.

    Call: images as `Yolo` takes them -> dict of `boxes` `[B, K, 4]` float32 (x1, y1, x2, y2) clipped to the image,
    in its pixels, `scores` `[B, K]` (objectness times class probability, best first), `classes` `[B, K]` int32,
    `valid` `[B, K]` bool; rows that are not valid are zeros.

    Arguments:
        net: from `yolov3.network.build`, or `Yolo.network`.
        description: the network's.
        score_floor: detections with a lower score are dropped.
        nms_iou: of two detections of one class that overlap more than this the weaker goes.
        max_detections: K.
    """

    def __init__(
        self, net: keras.Model, description: Description, score_floor: float, nms_iou: float, max_detections: int
    ) -> None:
        super().__init__(name="detector")
        self.network = net
        self.description = description
        self.score_floor, self.nms_iou, self.max_detections = score_floor, nms_iou, max_detections
        self.built = True

    def call(self, images: Tensor) -> dict[str, Tensor]:
        """Detections of a batch of images."""
        height, width = images.shape[1], images.shape[2]
        heads = network.forward(self.network, to_unit(images, self.description.channels))
        predictions, _ = decode(heads, self.description, height)
        window = ops.convert_to_tensor([0.0, 0.0, width, height], dtype="float32")
        boxes = box_ops.clip(predictions.boxes, window)  # (B, N, 4)
        scores = ops.sigmoid(predictions.objectness)[..., None] * ops.sigmoid(predictions.classes)  # (B, N, C)

        # A place may stand for several classes: every pair of place and class is a candidate, and only pairs of one
        # class suppress each other.
        count, kinds = scores.shape[1:]
        groups = ops.tile(ops.arange(kinds, dtype="int32")[None], (1, count))  # (1, N * C)
        flat = ops.reshape(scores, (-1, count * kinds))
        groups = ops.broadcast_to(groups, ops.shape(flat))
        indices, valid = non_max_suppression(
            ops.repeat(boxes, kinds, axis=1) if kinds > 1 else boxes,
            flat,
            self.max_detections,
            self.nms_iou,
            self.score_floor,
            groups if kinds > 1 else None,
        )
        kept = ops.take_along_axis(boxes, (indices // kinds)[..., None], axis=1)
        best = ops.take_along_axis(flat, indices, axis=1)
        shown = ops.cast(valid, "float32")
        return {
            "boxes": kept * shown[..., None],
            "scores": best * shown,
            "classes": ops.where(valid, indices % kinds, 0),
            "valid": valid,
        }

    def detect(self, images: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Detections of each of `images` as dicts of `boxes` `[n, 4]`, `scores` `[n]`, `classes` `[n]`, best first."""
        found = {name: np.asarray(values) for name, values in self.predict_on_batch(images).items()}
        return [
            {name: found[name][image][found["valid"][image]] for name in ("boxes", "scores", "classes")}
            for image in range(len(images))
        ]
