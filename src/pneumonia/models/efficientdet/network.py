"""The network of an EfficientDet: what `model.json` says of it, and the model that is built of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from efficientdet.model import EfficientDet


def describe(
    image_size: int, size: str, backbone: str, frozen_norm: bool, norm: str, scale: float, ratios: Sequence[float]
) -> dict[str, Any]:
    """All that is needed to build the network again, as plain values: the content of `model.json`.

    Arguments:
        size: of `efficientdet.sizes.SIZES`.
        backbone: see `pneumonia.models.backbones.pyramid.build`.
        frozen_norm: whether the backbone's batch normalisations keep their moments.
        norm: `group` or `batch`, of pyramid and heads.
        scale, ratios: of the anchors, see `efficientdet.anchors.anchors`.
    """
    return {
        "image_size": image_size,
        "size": size,
        "backbone": backbone,
        "frozen_norm": frozen_norm,
        "norm": norm,
        "scale": float(scale),
        "ratios": [float(ratio) for ratio in ratios],
    }


def build(described: Mapping[str, Any], weights: Any = "none", **options: Any) -> EfficientDet:
    """The model of `describe`'s content.

    Arguments:
        weights: of the backbone: `none`, `imagenet` or a file.
        options: of `efficientdet.model.EfficientDet`.
    """
    from efficientdet.model import EfficientDet
    from efficientdet.sizes import SIZES
    from pneumonia.models.backbones import pyramid

    d = described
    backbone = pyramid.build(d["backbone"], d["image_size"], weights, channels=1, frozen_norm=d["frozen_norm"])
    return EfficientDet(backbone, SIZES[d["size"]], scale=d["scale"], ratios=d["ratios"], norm=d["norm"], **options)
