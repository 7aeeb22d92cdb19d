"""ResNet50 and ResNet101 with Matterport's layer names, so that its weight files fit (He et al. 2016, section 4.1).

A callable `BACKBONE` has the signature of `resnet_graph` without the architecture:
`(input_image, stage5=True, train_bn=config.TRAIN_BN) -> [C1, C2, C3, C4, C5]`, feature maps of strides 2 to 32. Levels
that the pyramid does not use (C1 always) may be None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

from mrcnn.config import Config
from mrcnn.parts.normalization import BatchNorm, ConvNorm

Tensor = Any
BLOCKS = {"resnet50": 5, "resnet101": 22}  # identity blocks of stage 4


def _conv_norm(
    x: Tensor, filters: int, kernel: int, names: tuple[str, str], train_bn: bool | None, **kwargs: Any
) -> Tensor:
    conv = layers.Conv2D(filters, kernel, name=names[0], **kwargs)
    return ConvNorm(conv, BatchNorm(train_bn, name=names[1]))(x)


def resnet_graph(
    input_image: Tensor, architecture: str, stage5: bool = True, train_bn: bool | None = False
) -> list[Tensor]:
    """`[C1, C2, C3, C4, C5]` of `input_image` `[B, H, W, C]` (mean subtracted), strides 2 to 32; C5 may be None.

    `train_bn` None: batch normalization as Keras does, False: always with the stored moments, True: never.

    Unlike torchvision's, the first 1x1 convolution of a block carries the stride, and every convolution has a bias.
    """
    if architecture not in BLOCKS:
        raise ValueError(f"BACKBONE must be one of {sorted(BLOCKS)} or a callable, got {architecture!r}")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(input_image)
    x = _conv_norm(x, 64, 7, ("conv1", "bn_conv1"), train_bn, strides=2)
    c1 = x = layers.Activation("relu", name="conv1_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool1")(x)
    stages: list[Tensor] = []
    for stage, filters, blocks in ((2, 64, 2), (3, 128, 3), (4, 256, BLOCKS[architecture]), (5, 512, 2)):
        if stage == 5 and not stage5:
            stages.append(None)
            break
        for block in range(1 + blocks):
            stride = 2 if block == 0 and stage > 2 else 1
            x = _bottleneck(x, filters, f"{stage}{chr(ord('a') + block)}", stride, block == 0, train_bn)
        stages.append(x)
    return [c1, *stages]


def _bottleneck(x: Tensor, filters: int, name: str, stride: int, project: bool, train_bn: bool | None) -> Tensor:
    shortcut = x
    for branch, size, kernel in (("2a", filters, 1), ("2b", filters, 3), ("2c", 4 * filters, 1)):
        step = stride if branch == "2a" else 1
        names = f"res{name}_branch{branch}", f"bn{name}_branch{branch}"
        x = _conv_norm(x, size, kernel, names, train_bn, strides=step, padding="same")
        if branch != "2c":
            x = layers.Activation("relu", name=f"res{name}_branch{branch}_relu")(x)
    if project:
        names = f"res{name}_branch1", f"bn{name}_branch1"
        shortcut = _conv_norm(shortcut, 4 * filters, 1, names, train_bn, strides=stride)
    x = layers.Add(name=f"res{name}_add")([x, shortcut])
    return layers.Activation("relu", name=f"res{name}_out")(x)


def backbone_graph(input_image: Tensor, config: Config) -> Sequence[Tensor]:
    """`[C1 ... C5]` of the configured backbone."""
    if callable(config.BACKBONE):
        return config.BACKBONE(input_image, stage5=True, train_bn=config.TRAIN_BN)
    return resnet_graph(input_image, config.BACKBONE, stage5=True, train_bn=config.TRAIN_BN)
