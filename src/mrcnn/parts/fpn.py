"""The feature pyramid (Lin et al. 2017, "Feature Pyramid Networks", section 3), on the levels of `BACKBONE_STRIDES`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import layers

Tensor = Any
COARSEST = 5  # level of the backbone's last feature map, stride 32


def level_of(stride: int) -> int:
    """Stride 8 is level 3: `2 ** level` pixels a cell."""
    return int(math.log2(stride))


def fpn_graph(features: Sequence[Tensor], strides: Sequence[int], channels: int) -> list[Tensor]:
    """Pyramid levels, finest first, one for each stride.

    Arguments:
        features: `[C1, C2, C3, C4, C5]` of the backbone; those of unused strides may be None.
        strides: pixels a cell. Stride 64 (P6) is P5 subsampled; it serves proposals only.
        channels: of every level.

    Returns:
        list of `[B, H / stride, W / stride, channels]`.
    """
    wanted = [level_of(stride) for stride in strides]
    inner = [level for level in wanted if level <= COARSEST]
    pyramid: dict[int, Tensor] = {}
    above: Tensor = None
    for level in reversed(inner):
        feature = features[level - 1]
        if feature is None:
            raise ValueError(f"the backbone gives no C{level}, which stride {2**level} of BACKBONE_STRIDES needs")
        merged = layers.Conv2D(channels, 1, name=f"fpn_c{level}p{level}")(feature)
        if above is not None:
            upsampled = layers.UpSampling2D(2, name=f"fpn_p{level + 1}upsampled")(above)
            merged = layers.Add(name=f"fpn_p{level}add")([upsampled, merged])
        pyramid[level] = above = merged
    # The 3x3 convolutions come last: levels are merged before them.
    result = {
        level: layers.Conv2D(channels, 3, padding="same", name=f"fpn_p{level}")(pyramid[level]) for level in inner
    }
    for level in wanted:
        if level > COARSEST:
            result[level] = layers.MaxPooling2D(1, strides=2, name=f"fpn_p{level}")(result[level - 1])
    return [result[level] for level in wanted]
