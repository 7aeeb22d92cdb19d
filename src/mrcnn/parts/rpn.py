"""The region proposal network (Ren et al. 2015, section 3.1): everywhere for proposals, at a sample for its losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mrcnn.parts.tensors import covering_product, image_numbers

Tensor = Any
KERNEL = 3  # side of the shared convolution


def rpn_model(anchor_stride: int, anchors_per_location: int, channels: int, filters: int = 512) -> keras.Model:
    """The region proposal network of one level, to be called on each.

    `[B, h, w, channels]` -> logits `[B, h * w * anchors, (background, object)]`, their softmax, and deltas
    `[B, h * w * anchors, (dy, dx, log dh, log dw)]` in standard deviations.
    """
    feature_map = keras.Input((None, None, channels), name="input_rpn_feature_map")
    shared = layers.Conv2D(
        filters, KERNEL, strides=anchor_stride, padding="same", activation="relu", name="rpn_conv_shared"
    )(feature_map)
    logits = layers.Conv2D(2 * anchors_per_location, 1, name="rpn_class_raw")(shared)
    logits = layers.Reshape((-1, 2), name="rpn_class_logits")(logits)
    probs = layers.Activation("softmax", dtype="float32", name="rpn_class_xxx")(logits)
    bbox = layers.Conv2D(4 * anchors_per_location, 1, name="rpn_bbox_pred")(shared)
    bbox = layers.Reshape((-1, 4), name="rpn_bbox_deltas")(bbox)
    return keras.Model(feature_map, [logits, probs, bbox], name="rpn_model")


def rpn_graph(model: keras.Model, pyramid: Sequence[Tensor]) -> list[Tensor]:
    """`[logits [B, A, 2], probabilities [B, A, 2], deltas [B, A, 4]]` of all levels, in the order of the anchors."""
    outputs = zip(*(model(level) for level in pyramid), strict=True)
    names = ("rpn_class_logits", "rpn_class", "rpn_bbox")
    return [
        layers.Concatenate(axis=1, dtype="float32", name=name)(list(levels)) if len(pyramid) > 1 else levels[0]
        for levels, name in zip(outputs, names, strict=True)
    ]


@keras.saving.register_keras_serializable("mrcnn")
class SampledRPN(layers.Layer):
    """What a region proposal network says of some anchors alone: the losses need no others.

    The values are those of `rpn_graph` up to rounding. The gradient then costs what the sample costs, some hundred
    cells of the pyramid, instead of all of them.

    Call: `(table [B, cells, C], anchors [B, N] indices) -> (logits [B, N, 2], deltas [B, N, 4])`, float32; the table is
    `mrcnn.parts.roi_align.flat_pyramid` of the levels.

    Arguments:
        model: of `rpn_model`.
        shapes: `(height, width)` of each level, cells.
        ratios: anchors a place.
        stride: cells from one place to the next.
    """

    parts = ()  # its weights are those of `model`, which has its own place in the graph: see mrcnn.weights

    def __init__(
        self, model: keras.Model, shapes: Sequence[tuple[int, int]], ratios: int, stride: int = 1, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.model = model
        self.ratios = ratios
        self.cells, self.inside = patches(shapes, stride)

    def call(self, table: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        total, channels, count = int(table.shape[1]), int(table.shape[2]), int(anchors.shape[1])
        place = ops.cast(anchors, "int32") // self.ratios  # [B, N]
        first = image_numbers(place) * total
        index = ops.take(self.cells, place, axis=0) + first[..., None]  # [B, N, cells of the kernel]
        patch = ops.take(ops.reshape(table, (-1, channels)), index, axis=0)  # [B, N, 9, C]
        patch = patch * ops.cast(ops.take(self.inside, place, axis=0), patch.dtype)[..., None]

        shared, logits, deltas = (
            self.model.get_layer(name) for name in ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")
        )
        x = ops.relu(covering_product(shared, ops.reshape(patch, (-1, count, KERNEL * KERNEL * channels))))
        ratio = (ops.cast(anchors, "int32") % self.ratios)[..., None, None]

        def of_anchor(layer: layers.Layer, size: int) -> Tensor:
            every = ops.reshape(layer(x[:, :, None]), (-1, count, self.ratios, size))
            return ops.cast(ops.take_along_axis(every, ratio, axis=2)[:, :, 0], "float32")

        return of_anchor(logits, 2), of_anchor(deltas, 4)


def patches(shapes: Sequence[tuple[int, int]], stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The cells that a 3x3 convolution with padding "same" reads for each of its outputs, all levels in a row.

    Arguments:
        shapes: `(height, width)` of each level, cells.
        stride: of the convolution.

    Returns:
        cells: `[outputs, 9]` int32, numbers of the cells row by row, level after level.
        inside: `[outputs, 9]` float32, 0 where the convolution reads padding (the cell's number is any there).
    """
    cells, inside, first = [], [], 0
    for shape in shapes:
        axes, real = [], []
        for size in shape:
            outputs = -(-size // stride)
            before = max((outputs - 1) * stride + KERNEL - size, 0) // 2
            place = np.arange(outputs)[:, None] * stride - before + np.arange(KERNEL)
            real.append((place >= 0) & (place < size))
            axes.append(place.clip(0, size - 1))
        index = axes[0][:, None, :, None] * shape[1] + axes[1][None, :, None, :]
        cells.append(first + index.reshape(-1, KERNEL**2))
        inside.append((real[0][:, None, :, None] & real[1][None, :, None, :]).reshape(-1, KERNEL**2))
        first += shape[0] * shape[1]
    return np.concatenate(cells).astype(np.int32), np.concatenate(inside).astype(np.float32)
