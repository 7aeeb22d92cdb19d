"""Where projects written for Matterport's package look: `from mrcnn import utils; utils.Dataset`."""

from __future__ import annotations

import numpy as np

from mrcnn.anchors import compute_overlaps, denorm_boxes, generate_anchors, generate_pyramid_anchors, norm_boxes
from mrcnn.dataset import Dataset
from mrcnn.download import COCO_MODEL_URL, download_trained_weights
from mrcnn.images import (
    expand_mask,
    extract_bboxes,
    minimize_mask,
    resize,
    resize_image,
    resize_mask,
    unmold_mask,
)

__all__ = [
    "COCO_MODEL_URL",
    "Dataset",
    "compute_matches",
    "compute_overlaps",
    "compute_overlaps_masks",
    "denorm_boxes",
    "download_trained_weights",
    "expand_mask",
    "extract_bboxes",
    "generate_anchors",
    "generate_pyramid_anchors",
    "minimize_mask",
    "norm_boxes",
    "resize",
    "resize_image",
    "resize_mask",
    "unmold_mask",
]


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which prediction found which instance, by mask IoU, best score first.

    Returns `(gt_match [n], pred_match [m], overlaps [m, n])`: index of the other side or -1, predictions by score.
    """
    order = np.argsort(-pred_scores, kind="stable")
    overlaps = compute_overlaps_masks(pred_masks[..., order], gt_masks)
    pred_match, gt_match = -np.ones(len(order)), -np.ones(len(gt_class_ids))
    for i, row in enumerate(overlaps):
        for j in np.argsort(-row, kind="stable"):
            if row[j] < iou_threshold:
                break
            if gt_match[j] < 0 and pred_class_ids[order[i]] == gt_class_ids[j]:
                gt_match[j], pred_match[i] = i, j
                break
    return gt_match, pred_match, overlaps
