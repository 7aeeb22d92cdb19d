"""Pyramid ROIAlign (He et al. 2017, Mask R-CNN, section 3; levels by Lin et al. 2017, equation 1) as one gather."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mrcnn.parts.tensors import image_numbers

Tensor = Any


def roi_levels(boxes: Tensor, image_area: float, levels: Sequence[int]) -> Tensor:
    """Pyramid level of each of `boxes` `[..., (y1, x1, y2, x2)]` (normalized), int32 `[...]`.

    A box of 224 x 224 pixels is looked up on level 4, one of half the side on level 3, and so on within `levels`.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    side = ops.sqrt(ops.maximum(sides[..., 0] * sides[..., 1], 1e-12))
    octave = ops.log(side * (math.sqrt(image_area) / 224.0)) / math.log(2.0)
    return ops.clip(4 + ops.cast(ops.round(octave), "int32"), min(levels), max(levels))


def flat_pyramid(features: Sequence[Tensor]) -> Tensor:
    """All cells of all levels `[B, h, w, C]`, row by row and level after level: `[B, cells, C]`."""
    flat = [ops.reshape(f, (-1, int(f.shape[1]) * int(f.shape[2]), int(f.shape[3]))) for f in features]
    return ops.concatenate(flat, axis=1) if len(flat) > 1 else flat[0]


@keras.saving.register_keras_serializable("mrcnn")
class PyramidROIAlign(keras.layers.Layer):
    """Crops every box out of its pyramid level, resampled to `pool x pool`.

    One bilinear sample stands in the middle of the box's edge cells and evenly between, as TensorFlow's
    `crop_and_resize` does and Matterport's weights expect. All levels of all images lie flat in one table, so the whole
    layer is a gather of four corners for each sample, whatever level a box belongs to.

    Call: `(boxes [B, R, (y1, x1, y2, x2)] normalized, table, images) -> [B, R, pool, pool, C]`. `table` `[B, cells, C]`
    is `flat_pyramid` of the levels of `shapes`, coarser ones may follow. `images` `[B, R]` int32 names the image of the
    batch that each box is cut out of; without it box `[b, r]` is of image b.

    Arguments:
        pool: samples a side.
        image_shape: `(height, width, ...)` of the molded image, pixels.
        shapes: level (log2 of the stride) -> `(height, width)` of its feature map, cells; finest first, none left out.
    """

    def __init__(
        self,
        pool: int,
        image_shape: Sequence[int] | np.ndarray,
        shapes: Mapping[int, tuple[int, int]],
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # boxes stay float32 where features are bfloat16
        self.pool = pool
        self.image_area = float(image_shape[0]) * float(image_shape[1])
        self.shapes = dict(shapes)

    def call(self, boxes: Tensor, table: Tensor, images: Tensor | None = None) -> Tensor:
        boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
        levels, (heights, widths) = list(self.shapes), np.array(list(self.shapes.values()), np.int32).T
        cells, channels = int(table.shape[1]), int(table.shape[2])
        regions, pool = int(boxes.shape[1]), self.pool
        table = ops.reshape(table, (-1, channels))  # [B * cells, C]

        at = roi_levels(boxes, self.image_area, levels) - levels[0]  # [B, R]
        height, width = ops.take(heights, at), ops.take(widths, at)
        if images is None:
            images = image_numbers(boxes)
        first = np.concatenate([[0], np.cumsum(heights * widths)[:-1]]).astype(np.int32)
        offset = ops.take(first, at) + images * cells

        top, bottom, dy = _samples(boxes[..., 0], boxes[..., 2], height, pool)  # [B, R, pool]
        left, right, dx = _samples(boxes[..., 1], boxes[..., 3], width, pool)
        top, bottom = (offset[..., None] + y * width[..., None] for y in (top, bottom))

        def corner(y: Tensor, x: Tensor) -> Tensor:
            index = ops.reshape(y[..., :, None] + x[..., None, :], (-1,))
            return ops.reshape(ops.take(table, index, axis=0), (-1, regions, pool, pool, channels))

        dy = ops.cast(dy[..., :, None, None], table.dtype)  # [B, R, pool, 1, 1]
        dx = ops.cast(dx[..., None, :, None], table.dtype)  # [B, R, 1, pool, 1]
        upper = corner(top, left) * (1 - dx) + corner(top, right) * dx
        lower = corner(bottom, left) * (1 - dx) + corner(bottom, right) * dx
        return upper * (1 - dy) + lower * dy

    def compute_output_shape(
        self, boxes_shape: Any, table_shape: Any, images_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (boxes_shape[0], boxes_shape[1], self.pool, self.pool, table_shape[2])


def _samples(low: Tensor, high: Tensor, size: Tensor, pool: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cells before and after each of `pool` samples from `low` to `high` (normalized, both ends included), and the way
    between: `[B, R, pool]` int32, int32, float32. `size` `[B, R]` is the number of cells along the axis."""
    last = ops.cast(size, "float32")[..., None] - 1.0
    share = np.linspace(0.0, 1.0, pool, dtype=np.float32) if pool > 1 else np.array([0.5], np.float32)
    place = (low[..., None] + ops.convert_to_tensor(share) * (high - low)[..., None]) * last
    # Rounding may step over the border; there crop_and_resize would read zeros.
    place = ops.minimum(ops.maximum(place, 0.0), last)
    before = ops.floor(place)
    after = ops.minimum(before + 1.0, last)
    return ops.cast(before, "int32"), ops.cast(after, "int32"), place - before
