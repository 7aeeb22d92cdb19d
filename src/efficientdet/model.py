"""EfficientDet as one Keras model: a batch of images to raw numbers, a loss to train with, and detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from efficientdet import coding, network
from efficientdet.anchors import OCTAVES, anchors
from efficientdet.losses import losses
from efficientdet.sizes import Size
from efficientdet.targets import assign
from keraskit.boxes import tensors as box_ops
from keraskit.boxes.nms import non_max_suppression
from keraskit.compute.backend import device_share

Tensor = Any


class EfficientDet(keras.Model):
    """EfficientDet, ready for `compile` and `fit`.

    Call: images `[B, S, S]` or `[B, S, S, channels]` as the backbone takes them -> raw scores and corrections, see
    `network.build`. Fit: such images, and truth boxes as `{"boxes": [B, M, 4] float32, "classes": [B, M] int32}` or the boxes
    alone (class 0), (x1, y1, x2, y2) in pixels of those images, rows of no area being padding. Compile without a loss:
    `compute_loss` is the model's own, and its parts are logged as `class_loss` and `box_loss`.

    Arguments:
        backbone, size, classes, norm: see `network.build`.
        scale, ratios: of the anchors, see `anchors.anchors`.
        positive_iou, negative_iou: see `targets`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        size: Size,
        classes: int = 1,
        *,
        scale: float = 4.0,
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        norm: str = "group",
        positive_iou: float = 0.5,
        negative_iou: float = 0.4,
        name: str = "efficientdet",
    ) -> None:
        super().__init__(name=name)
        self.network = network.build(backbone, size, classes, OCTAVES * len(ratios), norm)
        self.anchors = anchors(backbone.input.shape[1], scale, ratios)
        self.positive_iou, self.negative_iou = positive_iou, negative_iou
        self.parts = [keras.metrics.Mean(name=part) for part in ("class_loss", "box_loss")]
        self._backbone = [layer for layer in backbone.layers if layer.trainable]
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """Raw scores and corrections of a batch of images."""
        scores, corrections = self.network(with_channel(images), training=training)
        return scores, corrections

    def train_backbone(self, trains: bool) -> None:
        """Let the backbone learn, or keep it as it is; what was frozen when the model was made stays so."""
        for layer in self._backbone:
            layer.trainable = trains

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """The sum of the two parts of the loss; see `efficientdet.losses`."""
        boxes = y["boxes"] if isinstance(y, Mapping) else y
        classes = y["classes"] if isinstance(y, Mapping) else ops.zeros_like(boxes[..., 0], dtype="int32")
        places = ops.convert_to_tensor(self.anchors)
        targets = assign(boxes, classes, places, self.positive_iou, self.negative_iou)
        scores, corrections = y_pred
        parts = losses(scores, corrections, places, targets)
        for metric in self.parts:
            metric.update_state(parts[metric.name])
        return device_share(parts["class_loss"] + parts["box_loss"])


def with_channel(images: Tensor) -> Tensor:
    """`[B, S, S]` -> `[B, S, S, 1]`; images with channels stay as they are."""
    return images[..., None] if len(images.shape) == 3 else images


class Detector(keras.Model):
    """A trained network with decoding and exact non-maximum suppression, for `predict`.

    Call: images as `EfficientDet` takes them -> dict of `boxes` `[B, K, 4]` float32 (x1, y1, x2, y2) clipped to the image, in
    its pixels, `scores` `[B, K]` (best first), `classes` `[B, K]` int32, `valid` `[B, K]` bool; rows that are not valid are
    zeros.

    Arguments:
        model: the detector.
        score_floor: detections with a lower score are dropped.
        nms_iou: of two detections of one class that overlap more than this the weaker goes.
        max_detections: K.
    """

    def __init__(self, model: EfficientDet, score_floor: float, nms_iou: float, max_detections: int) -> None:
        super().__init__(name="detector")
        self.network, self.anchors = model.network, model.anchors
        self.score_floor, self.nms_iou, self.max_detections = score_floor, nms_iou, max_detections
        self.built = True

    def call(self, images: Tensor) -> dict[str, Tensor]:
        """Detections of a batch of images."""
        images = with_channel(images)
        height, width = images.shape[1], images.shape[2]
        logits, corrections = self.network(images, training=False)
        window = ops.convert_to_tensor([0.0, 0.0, width, height], dtype="float32")
        boxes = box_ops.clip(coding.decode(corrections, ops.convert_to_tensor(self.anchors)), window)  # (B, N, 4)
        scores = ops.sigmoid(logits)

        # Every pair of anchor and class is a candidate, and only pairs of one class suppress each other.
        count, kinds = scores.shape[1:]
        flat = ops.reshape(scores, (-1, count * kinds))
        groups = ops.broadcast_to(ops.tile(ops.arange(kinds, dtype="int32")[None], (1, count)), ops.shape(flat))
        indices, valid = non_max_suppression(
            ops.repeat(boxes, kinds, axis=1) if kinds > 1 else boxes,
            flat,
            self.max_detections,
            self.nms_iou,
            self.score_floor,
            groups if kinds > 1 else None,
        )
        kept = ops.take_along_axis(boxes, (indices // kinds)[..., None], axis=1)
        shown = ops.cast(valid, "float32")
        return {
            "boxes": kept * shown[..., None],
            "scores": ops.take_along_axis(flat, indices, axis=1) * shown,
            "classes": ops.where(valid, indices % kinds, 0),
            "valid": valid,
        }

    def detect(self, images: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Detections of each of `images` as dicts of `boxes` `[n, 4]`, `scores` `[n]`, `classes` `[n]`, best first."""
        found = {name: ops.convert_to_numpy(values) for name, values in self.predict_on_batch(images).items()}
        return [
            {name: found[name][image][found["valid"][image]] for name in ("boxes", "scores", "classes")}
            for image in range(len(images))
        ]
