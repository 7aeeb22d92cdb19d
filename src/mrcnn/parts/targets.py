"""What the two stages should have said: training targets, for the whole batch at once.

Random choices follow keys in [0, 1) that come in with the batch (the highest win), so that the same batch gives the
same targets on every backend, and a resumed training the same ones as an unbroken one.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keraskit.boxes.tensors import iou
from mrcnn.config import Config
from mrcnn.parts.coding import box_refinement
from mrcnn.parts.tensors import image_numbers

Tensor = Any


def rpn_options(config: Config) -> dict[str, Any]:
    """The options of `rpn_targets`."""
    return {
        "count": config.RPN_TRAIN_ANCHORS_PER_IMAGE,
        "positive_ratio": config.RPN_POSITIVE_RATIO,
        "positive_iou": config.RPN_POSITIVE_IOU,
        "negative_iou": config.RPN_NEGATIVE_IOU,
        "std_dev": config.RPN_BBOX_STD_DEV,
    }


def roi_options(config: Config) -> dict[str, Any]:
    """The options of `detection_targets`."""
    return {
        "count": config.TRAIN_ROIS_PER_IMAGE,
        "positive_ratio": config.ROI_POSITIVE_RATIO,
        "positive_iou": config.ROI_POSITIVE_IOU,
        "fill_negatives": config.ROI_FILL_NEGATIVES,
        "std_dev": config.BBOX_STD_DEV,
    }


def rpn_targets(
    anchors: Tensor,
    gt_class_ids: Tensor,
    gt_boxes: Tensor,
    keys: Tensor,
    *,
    count: int,
    positive_ratio: float = 0.5,
    positive_iou: float = 0.7,
    negative_iou: float = 0.3,
    std_dev: Any = (0.1, 0.1, 0.2, 0.2),
) -> tuple[Tensor, Tensor]:
    """Which anchors are objects, which are not, and how the objects' anchors are to be corrected.

    Positive: IoU of at least `positive_iou` with an instance, and the best anchors of each instance. Negative: IoU
    below `negative_iou` with all instances. Neither where a crowd overlaps (class below 0). Then at most `count` stay,
    at most `positive_ratio` of them positive; an image without instances has negatives only (Ren et al. 2015, section
    3.1.2).

    Arguments:
        anchors: `[A, (y1, x1, y2, x2)]`, the frame of `gt_boxes`.
        gt_class_ids: `[B, G]`; 0 is padding, below 0 a crowd.
        gt_boxes: `[B, G, (y1, x1, y2, x2)]`.
        keys: `[B, A]` random, in [0, 1).

    Returns:
        match: `[B, A]` int32; 1 positive, -1 negative, 0 neither.
        bbox: `[B, K, (dy, dx, log dh, log dw)]` divided by `std_dev`, of the positive anchors in order of their index,
            zeros after them; K is the most positives there may be.
    """
    anchors = ops.cast(anchors, "float32")
    gt_boxes = ops.cast(gt_boxes, "float32")
    overlaps = iou(anchors[None], gt_boxes)  # [B, A, G]
    instance, crowd = (ops.cast(mask, "float32")[:, None] for mask in (gt_class_ids > 0, gt_class_ids < 0))
    near_crowd = ops.max(overlaps * crowd, axis=2) >= 0.001
    overlaps = overlaps * instance
    best = ops.max(overlaps, axis=2)
    of_instance = ops.max(overlaps, axis=1, keepdims=True)  # [B, 1, G]
    is_best = ops.any(ops.logical_and(overlaps == of_instance, overlaps > 0), axis=2)
    positive = ops.logical_or(best >= positive_iou, is_best)
    negative = ops.logical_and(best < negative_iou, ops.logical_not(ops.logical_or(positive, near_crowd)))

    most = max(1, int(count * positive_ratio))
    positive = _choose(positive, keys, most)
    positives = ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True)
    negative = _choose(negative, keys, count, count - positives)
    match = ops.cast(positive, "int32") - ops.cast(negative, "int32")

    size = int(anchors.shape[0])
    most = min(most, size)
    order = ops.where(positive, size - ops.arange(size, dtype="int32")[None], 0)
    rank, chosen = ops.top_k(order, most, sorted=True)  # lowest index first
    truth = ops.take_along_axis(ops.argmax(overlaps, axis=2), chosen, axis=1)
    wanted = ops.take_along_axis(gt_boxes, truth[..., None], axis=1)
    deltas = box_refinement(ops.take(anchors, chosen, axis=0), wanted) / ops.convert_to_tensor(std_dev, "float32")
    return match, ops.where((rank > 0)[..., None], deltas, 0.0)


def sampled_anchors(match: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The anchors that `rpn_targets` uses, by index: `(indices [B, N] int32, their match [B, N])`, N at most `count`.

    Where an image uses fewer, anchor 0 fills the rest, with match 0.
    """
    size = int(match.shape[1])
    order = ops.where(match != 0, size - ops.arange(size, dtype="int32")[None], 0)
    rank, _ = ops.top_k(order, min(count, size), sorted=True)  # lowest index first
    indices = ops.where(rank > 0, size - rank, 0)
    return indices, ops.where(rank > 0, ops.take_along_axis(match, indices, axis=1), 0)


def _choose(candidates: Tensor, keys: Tensor, most: int, limit: Tensor | None = None) -> Tensor:
    """The candidates `[B, N]` with the `most` highest keys (`limit` `[B, 1]` of them, where given), bool `[B, N]`."""
    most = min(most, int(candidates.shape[1]))
    values, indices = ops.top_k(ops.where(candidates, ops.cast(keys, "float32") + 1.0, 0.0), most, sorted=True)
    chosen = values > 0
    if limit is not None:
        chosen = ops.logical_and(chosen, ops.arange(most, dtype="int32")[None] < ops.cast(limit, "int32"))
    # Mark by position: equal keys (float32 has few) must not let one more in.
    size = int(candidates.shape[1])
    slot = ops.reshape(ops.where(chosen, indices, size) + image_numbers(indices) * (size + 1), (-1,))
    flat = ops.zeros_like(ops.reshape(ops.pad(ops.cast(candidates, "int32"), [[0, 0], [0, 1]]), (-1,)))
    marked = ops.scatter_update(flat, slot[:, None], ops.ones_like(slot, dtype="int32"))
    return ops.reshape(marked, (-1, size + 1))[:, :size] > 0


@keras.saving.register_keras_serializable("mrcnn")
class RPNTargetLayer(keras.layers.Layer):
    """`rpn_targets` with constant `anchors`, of the sampled ones alone.

    Call: `(gt_class_ids, gt_boxes, keys) -> (indices [B, N], match [B, N], bbox [B, K, 4])`; see `sampled_anchors`.
    """

    def __init__(self, anchors: Any, options: dict[str, Any], **kwargs: Any):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.anchors = np.asarray(anchors, np.float32)
        self.options = options

    def call(self, gt_class_ids: Tensor, gt_boxes: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        match, bbox = rpn_targets(self.anchors, gt_class_ids, gt_boxes, keys, **self.options)
        indices, match = sampled_anchors(match, self.options["count"])
        return ops.stop_gradient(indices), ops.stop_gradient(match), ops.stop_gradient(bbox)


def detection_targets(
    proposals: Tensor,
    gt_class_ids: Tensor,
    gt_boxes: Tensor,
    keys: Tensor,
    *,
    count: int,
    positive_ratio: float = 0.33,
    positive_iou: float = 0.5,
    fill_negatives: bool = True,
    std_dev: Any = (0.1, 0.1, 0.2, 0.2),
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A sample of the proposals with the class and the correction that each should get.

    Positive: IoU of at least `positive_iou` with an instance. Negative: below it, and clear of crowds.
    Positives come first.

    Arguments:
        proposals: `[B, P, (y1, x1, y2, x2)]` normalized; zeros are padding and are never taken.
        gt_class_ids: `[B, G]`; 0 is padding, below 0 a crowd.
        gt_boxes: `[B, G, (y1, x1, y2, x2)]` normalized.
        keys: `[B, P]` random, in [0, 1).
        count: regions to take; at most `int(count * positive_ratio)` are positive.
        fill_negatives: take negatives until there are `count`. False: only as many as keep the ratio, so that an image
            without a positive region gives none.

    Returns:
        rois: `[B, count, 4]` normalized, zeros where there are fewer.
        class_ids: `[B, count]` int32, 0 for negatives and padding.
        deltas: `[B, count, (dy, dx, log dh, log dw)]` divided by `std_dev`; zeros for negatives.
        instances: `[B, count]` int32, index of each region's instance (of any, where there is none).
    """
    gt_boxes = ops.cast(gt_boxes, "float32")
    available = int(proposals.shape[1])
    overlaps = iou(proposals, gt_boxes)  # [B, P, G]
    instance, crowd = (ops.cast(mask, "float32")[:, None] for mask in (gt_class_ids > 0, gt_class_ids < 0))
    near_crowd = ops.max(overlaps * crowd, axis=2) >= 0.001
    overlaps = overlaps * instance
    best = ops.max(overlaps, axis=2)
    real = ops.any(proposals != 0, axis=2)
    most = int(count * positive_ratio)
    positive = _choose(ops.logical_and(real, best >= positive_iou), keys, most)
    negative = ops.logical_and(ops.logical_and(real, best < positive_iou), ops.logical_not(near_crowd))
    if not fill_negatives:
        positives = ops.cast(ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True), "float32")
        negative = _choose(negative, keys, count, positives / positive_ratio - positives)
    # Keys lie in [0, 1): every positive comes before every negative, and both before what was not chosen.
    priority = ops.where(positive, 2.0, ops.where(negative, 1.0, -1.0)) + ops.cast(keys, "float32")
    values, chosen = ops.top_k(priority, min(count, available), sorted=True)
    if count > available:
        padding = [[0, 0], [0, count - available]]
        values, chosen = ops.pad(values, padding, constant_values=-1.0), ops.pad(chosen, padding)

    rois = ops.where((values >= 1.0)[..., None], ops.take_along_axis(proposals, chosen[..., None], axis=1), 0.0)
    is_positive = values >= 2.0
    instances = ops.cast(ops.take_along_axis(ops.argmax(overlaps, axis=2), chosen, axis=1), "int32")
    class_ids = ops.take_along_axis(ops.cast(gt_class_ids, "int32"), instances, axis=1)
    wanted = ops.take_along_axis(gt_boxes, instances[..., None], axis=1)
    deltas = box_refinement(rois, wanted) / ops.convert_to_tensor(std_dev, "float32")
    return (
        rois,
        ops.where(is_positive, class_ids, 0),
        ops.where(is_positive[..., None], deltas, 0.0),
        instances,
    )


def mask_targets(rois: Tensor, instances: Tensor, gt_boxes: Tensor, gt_masks: Tensor, shape: Any, mini: bool) -> Tensor:
    """The part of each region's instance mask inside the region, `[B, R, height, width]` of zeros and ones.

    Arguments:
        rois: `[B, R, (y1, x1, y2, x2)]` normalized.
        instances: `[B, R]` into G.
        gt_boxes: `[B, G, (y1, x1, y2, x2)]` normalized.
        gt_masks: `[B, h, w, G]`: of the whole image, or with `mini` of the instance's box only.
        shape: `(height, width)` of the result.
    """
    masks = ops.cast(ops.transpose(gt_masks, (0, 3, 1, 2)), "float32")
    masks = ops.take_along_axis(masks, instances[..., None, None], axis=1)  # [B, R, h, w]
    rois = ops.convert_to_tensor(rois)
    low, high = rois[..., :2], rois[..., 2:]
    if mini:
        frame = ops.take_along_axis(ops.cast(gt_boxes, "float32"), instances[..., None], axis=1)
        sides = ops.maximum(frame[..., 2:] - frame[..., :2], 1e-8)
        low, high = (low - frame[..., :2]) / sides, (high - frame[..., :2]) / sides
    rows = _interpolation(low[..., 0], high[..., 0], int(masks.shape[2]), int(shape[0]))  # [B, R, height, h]
    columns = _interpolation(low[..., 1], high[..., 1], int(masks.shape[3]), int(shape[1]))  # [B, R, width, w]
    return ops.round(ops.matmul(ops.matmul(rows, masks), ops.swapaxes(columns, 2, 3)))


def _interpolation(low: Tensor, high: Tensor, size: int, samples: int) -> Tensor:
    """Weights `[B, R, samples, size]` that read `samples` places from `low` to `high` (normalized) off `size` pixels;
    nothing is read outside them."""
    share = ops.convert_to_tensor(np.linspace(0.0, 1.0, samples, dtype=np.float32))
    place = (low[..., None] + share * (high - low)[..., None]) * (size - 1)
    inside = ops.logical_and(place >= 0, place <= size - 1)
    weight = ops.maximum(1.0 - ops.abs(place[..., None] - ops.arange(size, dtype="float32")), 0.0)
    return ops.where(inside[..., None], weight, 0.0)


@keras.saving.register_keras_serializable("mrcnn")
class DetectionTargetLayer(keras.layers.Layer):
    """`detection_targets` and, given masks, `mask_targets`; regions and boxes are normalized.

    Call: `(proposals, gt_class_ids, gt_boxes, keys, gt_masks or None) -> (rois, class_ids, deltas[, masks])`; masks are
    those of the first regions alone, as many as may be positive.
    `add_instances` puts the instances' own boxes before the proposals (Girshick 2015 trains so); then `keys` are
    `[B, G + P]`.
    """

    def __init__(
        self, options: dict[str, Any], mask_shape: Any, mini_mask: bool, add_instances: bool = False, **kwargs: Any
    ):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.options, self.mask_shape, self.mini_mask = options, tuple(mask_shape), mini_mask
        self.add_instances = add_instances

    def call(
        self, proposals: Tensor, gt_class_ids: Tensor, gt_boxes: Tensor, keys: Tensor, gt_masks: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if self.add_instances:
            own = ops.where((gt_class_ids > 0)[..., None], ops.cast(gt_boxes, "float32"), 0.0)
            proposals = ops.concatenate([own, proposals], axis=1)
        rois, class_ids, deltas, instances = detection_targets(proposals, gt_class_ids, gt_boxes, keys, **self.options)
        result = [rois, class_ids, deltas]
        if gt_masks is not None:
            most = max(1, int(self.options["count"] * self.options["positive_ratio"]))
            rois, class_ids, instances = rois[:, :most], class_ids[:, :most], instances[:, :most]
            masks = mask_targets(rois, instances, gt_boxes, gt_masks, self.mask_shape, self.mini_mask)
            result.append(ops.where((class_ids > 0)[..., None, None], masks, 0.0))
        return tuple(ops.stop_gradient(tensor) for tensor in result)
