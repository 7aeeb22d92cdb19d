"""A backbone by its name: from grey values to one feature map a stride."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
NAMES = ("resnet_small", *LITE, "densenet121", "resnet50")
STRIDES = (4, 8, 16, 32)


def build(
    name: str,
    image_size: int | None,
    weights: str | Path = "none",
    *,
    channels: int = 1,
    frozen_norm: bool = False,
    head: bool = False,
) -> keras.Model:
    """A backbone from raw grey values to one feature map a stride.

    Arguments:
        name: one of `NAMES`.
        image_size: pixels, side of the square input, a multiple of 32; None: any.
        weights: "none" (random), "imagenet", or a weight file of this backbone; of `named_weights` where it ends in `.npz`.
        channels: of the input; 1 grey, or 3 equal ones (or RGB).
        frozen_norm: batch normalisations keep the moments they have, and their scale and offset: for pretrained weights
            and batches of a few images.
        head: the map of stride 32 passes through the last 1x1 convolution that comes before the pooling in the
            network's own classifier (EfficientNet-Lite only; the others have none).

    Returns:
        A model: `[B, S, S, channels]` with values 0 to 255, uint8 or float, normalised inside -> dict stride -> map,
        `{4: [B, S/4, S/4, .], 8: ..., 16: ..., 32: ...}`.
    """
    if name not in NAMES:
        raise ValueError(f"backbone must be one of {', '.join(NAMES)}, got {name!r}")
    if channels not in (1, 3):
        raise ValueError(f"a backbone takes 1 or 3 channels, got {channels}")
    if image_size is not None and (image_size < 32 or image_size % 32):
        raise ValueError(f"image_size must be a multiple of 32, got {image_size}")
    from pneumonia.models.backbones import densenet121, efficientnet_lite, named_weights, resnet50, resnet_small

    builders: dict[str, Callable[..., keras.Model]] = {
        "resnet_small": resnet_small.build,
        "densenet121": densenet121.build,
        "resnet50": resnet50.build,
        **{lite: partial(efficientnet_lite.build, lite) for lite in LITE},
    }
    named = Path(weights).suffix == named_weights.SUFFIX
    model = builders[name]((image_size, image_size, channels), "none" if named else weights, head=head)
    if named:
        named_weights.load(weights, model)
    if frozen_norm:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    return model
