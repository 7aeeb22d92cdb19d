"""A small residual network for training from nothing on two cores: about 1.2 million weights, 0.13 GMAC at 128 px.

Basic blocks of He et al. 2016 (sec. 3.3), identity shortcuts with a 1x1 projection where the shape changes (option B).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers

from keraskit.compute.normalization import BatchNormalization

STEM = 16
WIDTHS = (32, 64, 96, 160)  # of the strides 4, 8, 16, 32
DEPTHS = (1, 2, 2, 2)


def build(shape: tuple[int | None, int | None, int], weights: str | Path, head: bool = False) -> keras.Model:
    """See `pneumonia.models.backbones.pyramid.build`; `weights` is "none" or a file written by `save_weights` of this model."""
    if weights == "imagenet":
        raise ValueError(
            "backbone resnet_small has no ImageNet weights; use weights none, or backbone efficientnet_lite0"
        )
    inputs = keras.Input(shape, name="image")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalise")(inputs)  # 0 .. 255 -> -2 .. 2
    x = _conv_norm(x, STEM, 3, 2, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    maps = {}
    for stride, width, depth in zip((4, 8, 16, 32), WIDTHS, DEPTHS, strict=True):
        for i in range(depth):
            x = _block(x, width, 2 if i == 0 else 1, f"stage{stride}_{i}")
        maps[stride] = x
    model = keras.Model(inputs, maps, name="resnet_small")
    if weights != "none":
        model.load_weights(weights)
    return model


def _conv_norm(x: Any, width: int, size: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(
        width, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    # Momentum 0.9: a training here has a few hundred steps, Keras' 0.99 would still remember the start.
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)


def _block(x: Any, width: int, stride: int, name: str) -> Any:
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        shortcut = _conv_norm(x, width, 1, stride, f"{name}_shortcut")
    x = layers.ReLU(name=f"{name}_a_relu")(_conv_norm(x, width, 3, stride, f"{name}_a"))
    x = _conv_norm(x, width, 3, 1, f"{name}_b")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))
