"""DenseNet121 (Huang et al. 2017, table 1) as Keras has it; the maps before each transition."""

from __future__ import annotations

from pathlib import Path

import keras

from pneumonia.models.backbones import applications

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red green blue, for values 0 to 1
LAYERS = {4: "pool2_relu", 8: "pool3_relu", 16: "pool4_relu", 32: "relu"}


def build(shape: tuple[int | None, int | None, int], weights: str | Path, head: bool = False) -> keras.Model:
    """See `pneumonia.models.backbones.pyramid.build`; a weight file is one without the classifier, as Keras publishes it."""
    return applications.build(
        keras.applications.DenseNet121,
        "densenet121",
        shape,
        weights,
        LAYERS,
        scale=[1 / (255 * std) for std in STD],
        offset=[-mean / std for mean, std in zip(MEAN, STD, strict=True)],
    )
