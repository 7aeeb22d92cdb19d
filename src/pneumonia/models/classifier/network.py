"""The classifier's network: a backbone, global average pooling, one sigmoid unit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

SCORE, HIDDEN = "score", "hidden"  # names of the last layer and of the one that may come before it
CLASSES = "classes"  # of the layer that training may add


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


def with_classes(model: keras.Model, count: int) -> keras.Model:
    """`model` with a second output for training: `{"score": [B, 1], "classes": [B, count]}`, the second a softmax on what the
    score is made from. The layers are shared; `model` itself stays as it is.
    """
    import keras

    before = model.get_layer(SCORE).input
    classes = keras.layers.Dense(count, activation="softmax", dtype="float32", name=CLASSES)(before)
    return keras.Model(model.input, {SCORE: model.output, CLASSES: classes}, name=f"{model.name}_{CLASSES}")
