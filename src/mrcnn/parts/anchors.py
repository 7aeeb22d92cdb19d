"""Anchors of the feature pyramid (Lin et al. 2017, "Feature Pyramid Networks", section 4.1): constants, so NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from keraskit.boxes import arrays
from mrcnn.config import Config

Shape = Sequence[int] | np.ndarray


def generate_anchors(
    scales: float | Sequence[float],
    ratios: Sequence[float],
    shape: Sequence[int],
    feature_stride: int,
    anchor_stride: int,
) -> np.ndarray:
    """Anchors of one level, `[cells * scales * ratios, (y1, x1, y2, x2)]` float64, pixels of the image.

    Row by row, at each cell every ratio of each scale. A cell's anchors are centred on its corner
    (`row * stride`, `column * stride`), as in Matterport's, not on its middle.

    Arguments:
        scales: side of the square of the same area, pixels.
        ratios: width / height.
        shape: `(height, width)` of the feature map, cells.
        feature_stride: pixels a cell.
        anchor_stride: cells from one anchor to the next.
    """
    scale, ratio = (grid.ravel() for grid in np.meshgrid(np.asarray(scales, float), np.asarray(ratios, float)))
    sides = np.stack([scale / np.sqrt(ratio), scale * np.sqrt(ratio)], axis=-1)  # [K, (height, width)]
    rows = np.arange(0, shape[0], anchor_stride) * feature_stride
    columns = np.arange(0, shape[1], anchor_stride) * feature_stride
    centers = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    return np.concatenate([centers - 0.5 * sides, centers + 0.5 * sides], axis=-1).reshape(-1, 4)


def generate_pyramid_anchors(
    scales: Sequence[float],
    ratios: Sequence[float],
    feature_shapes: np.ndarray,
    feature_strides: Sequence[int],
    anchor_stride: int,
) -> np.ndarray:
    """Anchors of all levels, level i of scale `scales[i]`, finest first: `[A, (y1, x1, y2, x2)]` float64 pixels.

    Levels for which there is no scale have no anchors.
    """
    if len(scales) > min(len(feature_shapes), len(feature_strides)):
        raise ValueError(
            f"there must be a level for each of the {len(scales)} scales, got {len(feature_shapes)} feature_shapes and "
            f"{len(feature_strides)} feature_strides"
        )
    levels = zip(scales, feature_shapes, feature_strides, strict=False)
    return np.concatenate([generate_anchors(s, ratios, shape, stride, anchor_stride) for s, shape, stride in levels])


def compute_backbone_shapes(config: Config, image_shape: Shape) -> np.ndarray:
    """`(height, width)` of each pyramid level, `[levels, 2]` int, for an image of `image_shape`."""
    if callable(config.BACKBONE) and config.COMPUTE_BACKBONE_SHAPE is not None:
        return config.COMPUTE_BACKBONE_SHAPE(image_shape)
    return np.array([[math.ceil(side / stride) for side in image_shape[:2]] for stride in config.BACKBONE_STRIDES])


def pyramid_anchors(config: Config) -> np.ndarray:
    """The model's anchors, `[A, (y1, x1, y2, x2)]` float64, pixels of the molded image."""
    return generate_pyramid_anchors(
        config.RPN_ANCHOR_SCALES,
        config.RPN_ANCHOR_RATIOS,
        compute_backbone_shapes(config, config.IMAGE_SHAPE),
        config.BACKBONE_STRIDES,
        config.RPN_ANCHOR_STRIDE,
    )


def norm_boxes(boxes: np.ndarray, shape: Shape) -> np.ndarray:
    """Pixels to normalized coordinates, `[..., (y1, x1, y2, x2)]` float32.

    A pixel box ends *after* its last pixel, a normalized one at the last pixel's coordinate: 0 is the first pixel and 1
    the last, so `(0, 0, height, width)` becomes `(0, 0, 1, 1)`.
    """
    scale, shift = box_frame(shape)
    return ((np.asarray(boxes) - shift) / scale).astype(np.float32)


def denorm_boxes(boxes: np.ndarray, shape: Shape) -> np.ndarray:
    """The inverse of `norm_boxes`, rounded to whole pixels, int32."""
    scale, shift = box_frame(shape)
    return np.around(np.asarray(boxes) * scale + shift).astype(np.int32)


def box_frame(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """`(scale, shift)`, `[4]` each, of `norm_boxes` for an image of `shape`."""
    height, width = shape[:2]
    return np.array([height - 1, width - 1, height - 1, width - 1]), np.array([0, 0, 1, 1])


def compute_overlaps(boxes1: np.ndarray, boxes2: np.ndarray) -> np.ndarray:
    """IoU of every box of `boxes1` `[N, (y1, x1, y2, x2)]` with every box of `boxes2` `[M, 4]`: `[N, M]`."""
    return arrays.iou(boxes1, boxes2)


def anchor_scales(boxes: np.ndarray, levels: int) -> list[float]:
    """One anchor scale a level for `boxes` `[N, 4]` (two corners, pixels): the middles of equal parts of their sides.

    A side is the square root of an area. Three levels: its quantiles 1/6, 1/2 and 5/6, to a tenth of a pixel.

    Raises:
        ValueError: there is no box.
    """
    if not len(boxes):
        raise ValueError("anchor scales cannot be taken from no boxes at all: give the scales")
    sides = np.sqrt(arrays.area(boxes))
    return [round(float(q), 1) for q in np.quantile(sides, (np.arange(levels) + 0.5) / levels)]


def anchor_recall(anchors: np.ndarray, boxes: np.ndarray, iou: float = 0.5) -> float:
    """Share of `boxes` `[N, (y1, x1, y2, x2)]` that some anchor `[A, (y1, x1, y2, x2)]` overlaps by `iou` at least.

    NaN without boxes.
    """
    found = [compute_overlaps(boxes[i : i + 256], anchors).max(axis=1) >= iou for i in range(0, len(boxes), 256)]
    return float(np.concatenate(found).mean()) if found else math.nan
