"""The classifier's network: a backbone, global average pooling, one sigmoid unit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

SCORE, HIDDEN = "score", "hidden"  # names of the last layer and of the one that may come before it


def build(
    backbone: str,
    image_size: int,
    weights: str | Path = "none",
    dropout: float = 0.0,
    hidden: int = 0,
    *,
    frozen_norm: bool = False,
) -> keras.Model:
    """The network: grey values `[B, S, S, 1]`, 0 to 255 -> probability `[B, 1]` float32.

    Arguments:
        hidden: units (ReLU) of a layer between the pooling and the score; 0: none.
    """
    import keras

    from pneumonia.models.backbones import pyramid

    base = pyramid.build(backbone, image_size, weights, channels=1, frozen_norm=frozen_norm, head=True)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(base.output[32])
    if hidden:
        x = keras.layers.Dense(hidden, activation="relu", name=HIDDEN)(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name=SCORE)(x)
    return keras.Model(base.input, x, name="classifier")
