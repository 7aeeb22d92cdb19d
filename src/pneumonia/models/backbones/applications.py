"""Networks of `keras.applications` as backbones: grey input, normalisation inside, one map a stride."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers


def build(
    network: Callable[..., keras.Model],
    name: str,
    shape: tuple[int | None, int | None, int],
    weights: str | Path,
    outputs: Mapping[int, str],
    *,
    scale: Sequence[float],
    offset: Sequence[float],
    reverse: bool = False,
) -> keras.Model:
    """`network` on values 0 to 255, `x * scale + offset` a channel; `outputs`: stride -> layer whose output it gives.

    Arguments:
        weights: "none", "imagenet" (downloaded once by Keras, checked by its hash), or a file that `network` reads.
        reverse: the network wants blue, green, red (`scale` and `offset` in that order too).

    Raises:
        RuntimeError: the download fails.
    """
    inputs = keras.Input(shape, name="image")
    x = layers.Concatenate(name="grey_to_colour")([inputs] * 3) if shape[-1] == 1 else inputs
    if reverse and shape[-1] == 3:
        x = x[..., ::-1]
    x = layers.Rescaling(list(scale), list(offset), name="normalise")(x)
    try:
        model = network(include_top=False, weights=None if weights == "none" else str(weights), input_tensor=x)
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if weights != "imagenet" or "URL fetch failure" not in str(error):
            raise
        raise RuntimeError(
            f"the ImageNet weights of {name} could not be downloaded ({error}). Put Keras' weight file without the top "
            f"under weights/ and name it in the param weights, or use backbone efficientnet_lite0 or weights none"
        ) from error
    maps: dict[int, Any] = {stride: model.get_layer(layer).output for stride, layer in sorted(outputs.items())}
    return keras.Model(inputs, maps, name=name)
