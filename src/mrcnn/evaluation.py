"""How well detections of one image fit its instances, by the overlap of their masks, as in Matterport's notebooks.

The pipeline's own measure over many images is `keraskit.average_precision`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mrcnn.parts.anchors import compute_overlaps

COCO_IOUS = np.arange(0.5, 1.0, 0.05)


def trim_zeros(rows: np.ndarray) -> np.ndarray:
    """The rows of `[n, columns]` that are not all zero: a padded list of boxes without its padding."""
    return rows[np.any(rows != 0, axis=1)]


def compute_overlaps_masks(masks1: np.ndarray, masks2: np.ndarray) -> np.ndarray:
    """IoU of every mask of `masks1` `[H, W, N]` with every mask of `masks2` `[H, W, M]`: `[N, M]`; above 0.5 is set."""
    if not masks1.shape[-1] or not masks2.shape[-1]:
        return np.zeros((masks1.shape[-1], masks2.shape[-1]))
    a = (masks1.reshape(-1, masks1.shape[-1]) > 0.5).astype(np.float32)
    b = (masks2.reshape(-1, masks2.shape[-1]) > 0.5).astype(np.float32)
    both = a.T @ b
    return both / np.maximum(a.sum(0)[:, None] + b.sum(0)[None] - both, 1)


def compute_matches(
    gt_boxes: np.ndarray,
    gt_class_ids: np.ndarray,
    gt_masks: np.ndarray,
    pred_boxes: np.ndarray,
    pred_class_ids: np.ndarray,
    pred_scores: np.ndarray,
    pred_masks: np.ndarray,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which prediction found which instance, by mask IoU, best score first.

    Args:
        gt_boxes, pred_boxes: `[n, 4]` and `[m, 4]`; rows of zeros at the end are padding.
        gt_masks, pred_masks: `[H, W, n]` and `[H, W, m]` of one frame.
        iou_threshold: a smaller overlap finds nothing.
        score_threshold: an overlap below it finds nothing either (Matterport's name for it).

    Returns:
        `(gt_match [n], pred_match [m], overlaps [m, n])`: index of the other side or -1, predictions by score.
    """
    if gt_masks.shape[:2] != pred_masks.shape[:2] and gt_masks.size and pred_masks.size:
        raise ValueError(
            f"masks of instances {gt_masks.shape} and of predictions {pred_masks.shape} differ in height or width: "
            "load the instances with use_mini_mask=False and detect on the image that load_image_gt gave"
        )
    instances, found = len(trim_zeros(gt_boxes)), len(trim_zeros(pred_boxes))
    order = np.argsort(-pred_scores[:found], kind="stable")
    overlaps = compute_overlaps_masks(pred_masks[..., order], gt_masks[..., :instances])
    least = max(iou_threshold, score_threshold)
    pred_match, gt_match = -np.ones(found), -np.ones(instances)
    for i, row in enumerate(overlaps):
        for j in np.argsort(-row, kind="stable"):
            if row[j] < least:
                break
            if gt_match[j] < 0 and pred_class_ids[order[i]] == gt_class_ids[j]:
                gt_match[j], pred_match[i] = i, j
                break
    return gt_match, pred_match, overlaps


def compute_ap(
    gt_boxes: np.ndarray,
    gt_class_ids: np.ndarray,
    gt_masks: np.ndarray,
    pred_boxes: np.ndarray,
    pred_class_ids: np.ndarray,
    pred_scores: np.ndarray,
    pred_masks: np.ndarray,
    iou_threshold: float = 0.5,
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Average precision of one image: the area below its precision-recall curve (PASCAL VOC 2010). See
    `compute_matches` for the arguments.

    Returns:
        `(AP, precisions [m + 2], recalls [m + 2], overlaps [m, n])`; the precisions fall with the recalls, which begin
        with 0 and end with 1. AP is NaN where there is no instance.
    """
    gt_match, pred_match, overlaps = compute_matches(
        gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks, iou_threshold
    )
    hits = np.cumsum(pred_match > -1)
    precisions = np.concatenate([[0.0], hits / np.arange(1, len(hits) + 1), [0.0]])
    precisions = np.maximum.accumulate(precisions[::-1])[::-1]
    recalls = np.concatenate([[0.0], hits / max(len(gt_match), 1), [1.0]])
    area = float(np.sum(np.diff(recalls) * precisions[1:])) if len(gt_match) else float("nan")
    return area, precisions, recalls, overlaps


def compute_ap_range(
    gt_box: np.ndarray,
    gt_class_id: np.ndarray,
    gt_mask: np.ndarray,
    pred_box: np.ndarray,
    pred_class_id: np.ndarray,
    pred_score: np.ndarray,
    pred_mask: np.ndarray,
    iou_thresholds: Sequence[float] | None = None,
    verbose: int = 1,
) -> float:
    """Mean of `compute_ap` over overlaps, 0.50 to 0.95 where none are given; printed one by one with `verbose`."""
    thresholds = COCO_IOUS if iou_thresholds is None else iou_thresholds
    truth, predicted = (gt_box, gt_class_id, gt_mask), (pred_box, pred_class_id, pred_score, pred_mask)
    values = [compute_ap(*truth, *predicted, iou_threshold=threshold)[0] for threshold in thresholds]
    mean = float(np.mean(values))
    if verbose:
        for threshold, value in zip(thresholds, values, strict=True):
            print(f"AP @{threshold:.2f}:\t {value:.3f}")
        print(f"AP @{min(thresholds):.2f}-{max(thresholds):.2f}:\t {mean:.3f}")
    return mean


def compute_recall(pred_boxes: np.ndarray, gt_boxes: np.ndarray, iou: float) -> tuple[float, np.ndarray]:
    """`(share of gt_boxes [n, 4] that are the best match of a box of pred_boxes [m, 4] by IoU of at least `iou`, indices
    of those pred_boxes)`. The share is NaN where there is no box to find."""
    if not len(gt_boxes):
        return float("nan"), np.zeros(0, np.int64)
    overlaps = compute_overlaps(pred_boxes, gt_boxes)
    positive = np.flatnonzero(overlaps.max(axis=1, initial=0.0) >= iou)
    return len(set(overlaps[positive].argmax(axis=1))) / len(gt_boxes), positive
