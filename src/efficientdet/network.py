"""The whole network: a backbone, the pyramid, and two heads that all levels share (Tan et al. 2020, figure 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from efficientdet.bifpn import bifpn, normalization
from efficientdet.sizes import Size

Tensor = Any
PRIOR = 0.01  # what an untrained head says of every anchor: most are empty (Lin et al. 2017, "Focal Loss", section 4.1)


def build(backbone: keras.Model, size: Size, classes: int, anchors: int, norm: str = "group") -> keras.Model:
    """A network from images to raw numbers of every anchor.

    Layers of the pyramid begin with `bifpn_`, those of the heads with `class_` and `box_`; all others are the backbone's.

    Arguments:
        backbone: `[B, S, S, channels]` -> dict stride -> feature map, with the strides 8, 16 and 32; S is a multiple of 32.
        size: see `sizes.SIZES`.
        classes: C, each its own sigmoid.
        anchors: K, at each cell.
        norm: `group` or `batch`, of pyramid and heads. Those of the heads are of each level, the convolutions are shared.

    Returns:
        A model: images as the backbone takes them -> `(scores [B, N, C], corrections [B, N, 4])` float32, anchors in the
        order of `anchors.anchors`.
    """
    side = backbone.input.shape[1]
    if side is None or side % 32:
        raise ValueError(f"image_size must be a multiple of 32 for EfficientDet, got {side}")
    levels = bifpn(backbone.output, size.width, size.depth, norm)
    bias = keras.initializers.Constant(-math.log((1 - PRIOR) / PRIOR))
    outputs = [
        _head(levels, size, anchors, classes, norm, bias, "class"),
        _head(levels, size, anchors, 4, norm, "zeros", "box"),
    ]
    return keras.Model(backbone.input, outputs, name="efficientdet")


def _head(levels: Sequence[Tensor], size: Size, anchors: int, numbers: int, norm: str, bias: Any, name: str) -> Tensor:
    """`[B, N, numbers]` float32 of all levels."""
    first = keras.initializers.RandomNormal(stddev=0.01)
    convs = [
        layers.SeparableConv2D(size.width, 3, padding="same", name=f"{name}_conv{i}") for i in range(size.head_depth)
    ]
    last = layers.SeparableConv2D(
        anchors * numbers,
        3,
        padding="same",
        pointwise_initializer=first,
        bias_initializer=bias,
        name=f"{name}_predict",
    )
    found = []
    for level, x in enumerate(levels, start=3):
        for i, conv in enumerate(convs):
            x = normalization(norm, f"{name}_conv{i}_p{level}_norm")(conv(x))
            x = layers.Activation("silu", name=f"{name}_conv{i}_p{level}_swish")(x)
        found.append(layers.Reshape((-1, numbers), name=f"{name}_p{level}")(last(x)))
    return layers.Concatenate(axis=1, dtype="float32", name=f"{name}_all")(found)
