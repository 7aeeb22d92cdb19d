"""The five losses (Ren et al. 2015, equation 1; He et al. 2017, section 3), each a mean over the batch.

A mean over nothing (no positive region in the batch) is 0. All are computed in float32.

The two losses of boxes are means over the positives, as Matterport's: a batch with one positive moves the boxes as far as
a batch with fifty. `per_sample` takes equation 1 at its word, as torchvision does: the sum over positives and coordinates
is divided by all anchors or regions sampled, positive or not, so every positive weighs the same whatever batch it is in.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any
EPSILON = 1e-7  # keeps the logarithm of a mask's probability finite


def smooth_l1(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """`0.5 d^2` where `|d| < 1`, else `|d| - 0.5`, elementwise (Girshick 2015, equation 3)."""
    difference = ops.abs(ops.cast(y_true, "float32") - ops.cast(y_pred, "float32"))
    return ops.where(difference < 1.0, 0.5 * difference * difference, difference - 0.5)


def rpn_class_loss(rpn_match: Tensor, rpn_class_logits: Tensor) -> Tensor:
    """Cross entropy of object or not, over the anchors that are used.

    Arguments:
        rpn_match: `[B, A]` or `[B, A, 1]`; 1 positive, -1 negative, 0 not used.
        rpn_class_logits: `[B, A, (background, object)]`.
    """
    match = _anchors(rpn_match, rpn_class_logits)
    return _masked_mean(_cross_entropy(ops.cast(match == 1, "int32"), rpn_class_logits), match != 0)


def rpn_bbox_loss(target_bbox: Tensor, rpn_match: Tensor, rpn_bbox: Tensor, per_sample: bool = False) -> Tensor:
    """Smooth L1 of the deltas of the positive anchors.

    Arguments:
        target_bbox: `[B, K, 4]`, of the positive anchors in order of index, then padding.
        rpn_match: `[B, A]` or `[B, A, 1]`.
        rpn_bbox: `[B, A, 4]`.
        per_sample: over the anchors that are used, see above.
    """
    match = _anchors(rpn_match, rpn_bbox)
    positive = match == 1
    place = ops.maximum(ops.cumsum(ops.cast(positive, "int32"), axis=1) - 1, 0)
    place = ops.minimum(place, int(target_bbox.shape[1]) - 1)
    wanted = ops.take_along_axis(target_bbox, place[..., None], axis=1)  # [B, A, 4]
    return _of_boxes(smooth_l1(wanted, rpn_bbox), positive, match != 0, per_sample)


def mrcnn_class_loss(target_class_ids: Tensor, pred_class_logits: Tensor, active_class_ids: Tensor) -> Tensor:
    """Cross entropy of the regions' classes; a region taken for a class that its data set does not have does not count.

    Arguments:
        target_class_ids: `[B, R]`, 0 background and padding.
        pred_class_logits: `[B, R, classes]`.
        active_class_ids: `[B, classes]`, 1 where the image's data set has the class. The first image speaks for its
            batch, as in Matterport's: a batch is of one data set.
    """
    predicted = ops.argmax(pred_class_logits, axis=2)
    active = ops.take(ops.cast(active_class_ids, "float32")[0], predicted, axis=0)
    return _masked_mean(_cross_entropy(target_class_ids, pred_class_logits), active > 0)


def mrcnn_bbox_loss(
    target_bbox: Tensor, target_class_ids: Tensor, pred_bbox: Tensor, per_sample: bool = False
) -> Tensor:
    """Smooth L1 of the positive regions' deltas, as predicted for their true class.

    Arguments:
        target_bbox: `[B, R, 4]`.
        target_class_ids: `[B, R]`.
        pred_bbox: `[B, R, classes, 4]`.
        per_sample: over all regions, see above; padding counts as the background that the class loss takes it for.
    """
    class_ids = ops.cast(target_class_ids, "int32")
    own = ops.take_along_axis(pred_bbox, ops.maximum(class_ids, 0)[..., None, None], axis=2)[:, :, 0]
    return _of_boxes(smooth_l1(target_bbox, own), class_ids > 0, ops.ones_like(class_ids), per_sample)


def mrcnn_mask_loss(target_masks: Tensor, target_class_ids: Tensor, pred_masks: Tensor) -> Tensor:
    """Binary cross entropy of the positive regions' masks, as predicted for their true class.

    Arguments:
        target_masks: `[B, R, h, w]` zeros and ones.
        target_class_ids: `[B, R]`.
        pred_masks: `[B, R, h, w, classes]`, probabilities.
    """
    class_ids = ops.cast(target_class_ids, "int32")
    index = ops.maximum(class_ids, 0)[..., None, None, None]
    own = ops.take_along_axis(ops.cast(pred_masks, "float32"), index, axis=4)[..., 0]
    own = ops.clip(own, EPSILON, 1.0 - EPSILON)
    truth = ops.cast(target_masks, "float32")
    entropy = -(truth * ops.log(own) + (1.0 - truth) * ops.log(1.0 - own))
    return _masked_mean(ops.mean(entropy, axis=(2, 3)), class_ids > 0)


def _anchors(rpn_match: Tensor, like: Tensor) -> Tensor:
    """`rpn_match` as `[B, A]`."""
    match = ops.convert_to_tensor(rpn_match)
    return match[..., 0] if len(match.shape) == 3 else match


def _cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    return ops.sparse_categorical_crossentropy(ops.cast(labels, "int32"), ops.cast(logits, "float32"), from_logits=True)


def _of_boxes(values: Tensor, positive: Tensor, sampled: Tensor, per_sample: bool) -> Tensor:
    """The mean of `values` `[B, N, 4]` over the positives, or their sum over the number of the sampled."""
    if not per_sample:
        return _masked_mean(ops.mean(values, axis=-1), positive)
    total = ops.sum(ops.sum(values, axis=-1) * ops.cast(positive, "float32"))
    return total / ops.maximum(ops.sum(ops.cast(sampled, "float32")), 1.0)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    used = ops.cast(mask, "float32")
    return ops.sum(values * used) / ops.maximum(ops.sum(used), 1.0)
