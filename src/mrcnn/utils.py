"""Where projects written for Matterport's package look: `from mrcnn import utils; utils.Dataset`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from keraskit.boxes import nms
from keraskit.training.augmenters import imgaug
from mrcnn import images
from mrcnn.dataset import Dataset
from mrcnn.download import COCO_MODEL_URL, download_trained_weights
from mrcnn.evaluation import (
    compute_ap,
    compute_ap_range,
    compute_matches,
    compute_overlaps_masks,
    compute_recall,
    trim_zeros,
)
from mrcnn.images import expand_mask, extract_bboxes, minimize_mask, resize_image, resize_mask, unmold_mask
from mrcnn.parts import coding
from mrcnn.parts.anchors import compute_overlaps, denorm_boxes, generate_anchors, generate_pyramid_anchors, norm_boxes

__all__ = [
    "COCO_MODEL_URL",
    "Dataset",
    "apply_box_deltas",
    "box_refinement",
    "compute_ap",
    "compute_ap_range",
    "compute_iou",
    "compute_matches",
    "compute_overlaps",
    "compute_overlaps_masks",
    "compute_recall",
    "denorm_boxes",
    "download_trained_weights",
    "expand_mask",
    "extract_bboxes",
    "generate_anchors",
    "generate_pyramid_anchors",
    "imgaug",
    "minimize_mask",
    "non_max_suppression",
    "norm_boxes",
    "resize",
    "resize_image",
    "resize_mask",
    "trim_zeros",
    "unmold_mask",
]


def box_refinement(box: np.ndarray, gt_box: np.ndarray) -> np.ndarray:
    """`mrcnn.parts.coding.box_refinement` from and to NumPy: deltas `[N, 4]` float32 that turn `box` into `gt_box`."""
    return ops.convert_to_numpy(coding.box_refinement(_floats(box), _floats(gt_box)))


def apply_box_deltas(boxes: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """`mrcnn.parts.coding.apply_box_deltas` from and to NumPy: `boxes` `[N, 4]` corrected by `deltas` `[N, 4]`, float32."""
    return ops.convert_to_numpy(coding.apply_box_deltas(_floats(boxes), _floats(deltas)))


def resize(
    image: np.ndarray,
    output_shape: Sequence[int],
    order: int = 1,
    mode: str = "constant",
    cval: float = 0,
    clip: bool = True,
    preserve_range: bool = False,
    anti_aliasing: bool = False,
    anti_aliasing_sigma: object = None,
) -> np.ndarray:
    """Bilinear resize to `output_shape` `(height, width)` in float64, with the arguments of scikit-image's `resize`.

    Arguments:
        preserve_range: False: integers are divided by the largest of their type, so uint8 becomes 0 to 1.

    Raises:
        ValueError: what this package never asks for: another order or mode, smoothing.
    """
    if (order, mode, cval, clip, anti_aliasing) != (1, "constant", 0, True, False):
        raise ValueError("resize is bilinear, with zeros beyond the border, clipped, unsmoothed; use skimage.transform")
    values = image.astype(np.float64)
    if np.issubdtype(image.dtype, np.integer) and not preserve_range:
        values /= np.iinfo(image.dtype).max
    return images.resize(values, output_shape)


def compute_iou(box: np.ndarray, boxes: np.ndarray, box_area: float = 0.0, boxes_area: object = None) -> np.ndarray:
    """IoU `[N]` of `box` `[4]` with each of `boxes` `[N, 4]`. The areas are Matterport's arguments; they follow from
    the boxes and are not looked at."""
    return compute_overlaps(np.asarray(box)[None], boxes)[0]


def non_max_suppression(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Indices int32 of the `boxes` `[N, 4]` that stay, by falling score: none overlaps a better one by more than
    `threshold` (IoU)."""
    if not len(boxes):
        return np.zeros(0, np.int32)
    indices, valid = nms.non_max_suppression(_floats(boxes)[None], _floats(scores)[None], len(boxes), threshold)
    return ops.convert_to_numpy(indices)[0][ops.convert_to_numpy(valid)[0]].astype(np.int32)


def _floats(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32)
