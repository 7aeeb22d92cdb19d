"""Detections: the regions corrected by the second stage, thinned out (Girshick et al. 2014, section 2.3)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keraskit.boxes.nms import non_max_suppression
from keraskit.boxes.tensors import clip
from mrcnn.parts.coding import apply_box_deltas

Tensor = Any


@keras.saving.register_keras_serializable("mrcnn")
class RefineLayer(keras.layers.Layer):
    """Every region with its likeliest class and that class's correction; nothing is dropped.

    Call: `(rois [B, R, 4], probs [B, R, classes], deltas [B, R, classes, 4], window [B, 4]) ->
    (boxes [B, R, 4] clipped to the window, class_ids [B, R] int32, scores [B, R])`; boxes `(y1, x1, y2, x2)`
    normalized.

    Arguments:
        std_dev: four factors from the network's deltas to deltas.
        background_competes: Matterport's rule: a region whose likeliest class is the background gets class 0. False:
            the best of the other classes, however unlikely, which a curve over all thresholds needs.
    """

    def __init__(self, std_dev: Any, background_competes: bool = True, **kwargs: Any):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.std_dev = np.asarray(std_dev, np.float32)
        self.background_competes = background_competes

    def call(self, rois: Tensor, probs: Tensor, deltas: Tensor, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = 0 if self.background_competes else 1
        # Of argmax TensorFlow makes operations on bits, which no export format knows.
        _, best = ops.top_k(probs[..., first:], 1)
        class_ids = ops.cast(best[..., 0], "int32") + first
        scores = ops.take_along_axis(probs, class_ids[..., None], axis=2)[..., 0]
        own = ops.take_along_axis(deltas, class_ids[..., None, None], axis=2)[:, :, 0]
        boxes = clip(apply_box_deltas(rois, own * ops.convert_to_tensor(self.std_dev)), window[:, None, :])
        real = ops.any(rois != 0, axis=2)  # padding of the proposals is no region
        return boxes, ops.where(real, class_ids, 0), ops.where(real, scores, 0.0)


@keras.saving.register_keras_serializable("mrcnn")
class DetectionLayer(keras.layers.Layer):
    """The best `count` detections of each image after non-maximum suppression within each class.

    Call: `(boxes, class_ids, scores)` of `RefineLayer` -> `[B, count, (y1, x1, y2, x2, class_id, score)]`, by falling
    score, zeros where there are fewer.
    """

    def __init__(self, count: int, min_confidence: float, nms_threshold: float, **kwargs: Any):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.count, self.min_confidence, self.nms_threshold = count, min_confidence or 0.0, nms_threshold

    def call(self, boxes: Tensor, class_ids: Tensor, scores: Tensor) -> Tensor:
        scores = ops.where(class_ids > 0, scores, -1.0)
        kept, valid = non_max_suppression(
            boxes, scores, self.count, self.nms_threshold, self.min_confidence, groups=class_ids
        )
        rows = ops.concatenate([boxes, ops.cast(class_ids, "float32")[..., None], scores[..., None]], axis=2)
        return ops.where(valid[..., None], ops.take_along_axis(rows, kept[..., None], axis=1), 0.0)
