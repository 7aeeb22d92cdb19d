"""The networks of Mask R-CNN: configuration, backbone, and which layers a phase of training means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mrcnn.config import Config

OF_BACKBONE = ("imagenet", "pretrained")  # weights that a backbone brings along
MATTERPORT = ("resnet50", "resnet101")  # in Matterport's own form, unless ImageNet weights are asked for
STRIDES = {1: [16], 2: [16, 32], 3: [8, 16, 32], 4: [8, 16, 32, 64], 5: [4, 8, 16, 32, 64]}  # by number of scales
# Channels of the pyramid, of the shared convolution of the proposals, of the box head.
LITE = (96, 96, 256)
WIDTHS = {"resnet_small": (64, 64, 128), **{f"efficientnet_lite{i}": LITE for i in range(3)}}
MATTERPORT_WIDTHS = (256, 512, 1024)
MEAN_PIXEL = (123.7, 116.8, 103.9)  # of the images Matterport's weights were trained on


def describe(
    image_size: int,
    backbone: str,
    weights: str,
    masks: bool,
    scales: Sequence[float],
    ratios: Sequence[float],
    head_norm: str = "batch",
) -> dict[str, Any]:
    """All that is needed to build the network again, as plain values: the content of `model.json`.

    Arguments:
        weights: what training starts from, see `training.train`; decides the form of the backbone.
        scales, ratios: of the anchors, see `mrcnn.config`; one scale a pyramid level (`STRIDES`).
        head_norm: `batch` or `layer`, of the box head.
    """
    if len(scales) not in STRIDES:
        raise ValueError(
            f"anchors.scales must have 1 to {max(STRIDES)} values, one a pyramid level, got {list(scales)}"
        )
    return {
        "image_size": image_size,
        "backbone": backbone,
        "imagenet": weights in OF_BACKBONE,  # the backbone's own form, not Matterport's
        "frozen_norm": weights != "none",
        "masks": masks,
        "head_norm": head_norm,
        "scales": [float(scale) for scale in scales],
        "ratios": [float(ratio) for ratio in ratios],
        "strides": STRIDES[len(scales)],
        "widths": list(WIDTHS.get(backbone, MATTERPORT_WIDTHS)),
    }


def configure(described: Mapping[str, Any], **fields: Any) -> Config:
    """The configuration of `describe`'s network without its backbone; `fields` join it or win over it."""
    from mrcnn.config import Config

    config = Config()
    values = {
        "NAME": "pneumonia",
        "NUM_CLASSES": 2,
        "IMAGE_MIN_DIM": described["image_size"],
        "IMAGE_MAX_DIM": described["image_size"],
        "IMAGE_CHANNEL_COUNT": 1,
        "MEAN_PIXEL": [0.0],  # the backbones normalize
        "USE_MASKS": described["masks"],
        "HEAD_NORM": described.get("head_norm", "batch"),  # models of before had no other
        "MINI_MASK_SHAPE": (28, 28),
        "BACKBONE_STRIDES": described["strides"],
        "RPN_ANCHOR_SCALES": described["scales"],
        "RPN_ANCHOR_RATIOS": described["ratios"],
        "PRE_NMS_LIMIT": 512,
        "POST_NMS_ROIS_TRAINING": 128,
        "POST_NMS_ROIS_INFERENCE": 100,
        "ROI_ADD_INSTANCES": True,
        "TRAIN_BN": False
        if described["frozen_norm"] and not described["imagenet"]
        else None,  # new heads know no moments
        "WEIGHT_DECAY": 0.0,  # the optimizer's is decoupled from the loss
        **dict(
            zip(
                ("TOP_DOWN_PYRAMID_SIZE", "RPN_CONV_FILTERS", "FPN_CLASSIF_FC_LAYERS_SIZE"),
                described["widths"],
                strict=True,
            )
        ),
        **fields,
    }
    for name, value in values.items():
        setattr(config, name, value)
    config.__init__()  # type: ignore[misc]
    return config


def add_backbone(config: Config, described: Mapping[str, Any], weights: str | Path) -> dict[str, str]:
    """Give `config` its backbone; returns what the words for layers ("heads", "3+" ... "all") mean as regular
    expressions.

    "3+" are the layers after the feature map of stride 4, "4+" those after stride 8, "5+" after stride 16; the heads
    belong to each. With pretrained weights batch normalization keeps its moments: a few studies estimate worse ones.

    Arguments:
        weights: of the backbone, `none`, `imagenet` or a file.
    """
    from mrcnn.parts.backbone import resnet_graph
    from mrcnn.weights import LAYERS
    from pneumonia.models.backbones import pyramid

    name, frozen = described["backbone"], described["frozen_norm"]
    if name in MATTERPORT and not described["imagenet"]:

        def matterport(image: Any, stage5: bool = True, train_bn: bool | None = None) -> list[Any]:
            import keras

            grey = keras.layers.Concatenate(name="grey_to_rgb")([image, image, image])
            molded = keras.layers.Rescaling(1.0, offset=-np.array(MEAN_PIXEL), name="subtract_mean")(grey)
            return resnet_graph(molded, name, stage5, False if frozen else None)

        config.BACKBONE = matterport
        return LAYERS

    model = pyramid.build(name, described["image_size"], weights, channels=1, frozen_norm=frozen)

    def feature_maps(image: Any, stage5: bool = True, train_bn: bool | None = None) -> list[Any]:
        maps = model(image)
        return [None, *(maps[stride] for stride in pyramid.STRIDES)]

    config.BACKBONE = feature_maps
    return _stages(model)


def _stages(model: Any) -> dict[str, str]:
    """The words for layers as regular expressions; what is frozen now stays so."""
    import keras

    fixed = {layer.name for layer in model.layers if not layer.trainable}
    every = {layer.name for layer in model.layers}
    stages = {"heads": _all_but(every), "all": _all_but(fixed)}
    for word, stride in (("3+", 4), ("4+", 8), ("5+", 16)):
        below = {layer.name for layer in keras.Model(model.input, model.output[stride]).layers}
        stages[word] = _all_but(fixed | below)
    return stages


def _all_but(names: set[str]) -> str:
    return rf"(?!({'|'.join(sorted(names))})$).*" if names else ".*"
