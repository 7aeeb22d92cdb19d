"""A backbone of a few convolutions, and a detector with it."""

from __future__ import annotations

import keras

from efficientdet.model import EfficientDet
from efficientdet.sizes import Size

SIZE = 64
TINY = Size(width=16, depth=1, head_depth=1, image_size=SIZE)


def backbone(size: int = SIZE, channels: tuple[int, int, int] = (8, 8, 8)) -> keras.Model:
    """Grey values -> maps of strides 8, 16 and 32; each a convolution of the one before."""
    inputs = keras.Input((size, size, 1), name="image")
    x = keras.layers.Rescaling(1 / 128, offset=-1)(inputs)
    maps = {}
    for stride, step, width in zip((8, 16, 32), (8, 2, 2), channels, strict=True):
        x = keras.layers.Conv2D(width, step, step, activation="relu", name=f"stride{stride}")(x)
        maps[stride] = x
    return keras.Model(inputs, maps)


def model(norm: str = "group", **options) -> EfficientDet:
    keras.utils.set_random_seed(1)
    return EfficientDet(backbone(), TINY, norm=norm, scale=2.0, ratios=(1.0,), **options)
