"""ResNet50 (He et al. 2016, table 1) as Keras has it; strides of its four stages."""

from __future__ import annotations

from pathlib import Path

import keras

from pneumonia.models.backbones import applications

MEAN = (103.939, 116.779, 123.68)  # of ImageNet, in the order blue, green, red, as the weights were trained
LAYERS = {4: "conv2_block3_out", 8: "conv3_block4_out", 16: "conv4_block6_out", 32: "conv5_block3_out"}


def build(shape: tuple[int | None, int | None, int], weights: str | Path, head: bool = False) -> keras.Model:
    """See `pneumonia.models.backbones.pyramid.build`; a weight file is one without the classifier, as Keras publishes it."""

    return applications.build(
        keras.applications.ResNet50,
        "resnet50",
        shape,
        weights,
        LAYERS,
        scale=[1.0, 1.0, 1.0],
        offset=[-mean for mean in MEAN],
        reverse=True,
    )
