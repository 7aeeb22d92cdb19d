"""The network of a description as a Keras model: images in, raw heads out."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from yolov3.cfg import Convolutional, Description, MaxPool, Route, Shortcut, Upsample, Yolo

Tensor = Any
EPSILON = 1e-6  # of batch normalization, beside the variance
LEAK = 0.1  # slope of the activation below zero
OBJECTNESS_PRIOR = (
    0.01  # what an untrained head says of every place: most are empty (Lin et al. 2017, "Focal Loss", section 4.1)
)


@keras.saving.register_keras_serializable(package="yolov3")
class UpsampleNearest(layers.Layer):
    """`[B, h, w, C]` -> `[B, h * factor, w * factor, C]`, each cell repeated.

    Written with broadcasting: its gradient is a plain sum, deterministic on every device, which the resize
    operations' are not.
    """

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Tensor) -> Tensor:
        """Repeat every cell `factor` times in both directions."""
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height, 1, width, 1, channels))
        x = ops.tile(x, (1, 1, self.factor, 1, self.factor, 1))
        return ops.reshape(x, (-1, height * self.factor, width * self.factor, channels))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The two middle dimensions grow."""
        batch, height, width, channels = shape
        return batch, height and height * self.factor, width and width * self.factor, channels

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="yolov3")
class LowestPadding(layers.Layer):
    """A border that no maximum is taken from: `before` rows and columns above and left, `after` below and right."""

    def __init__(self, before: int, after: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.before, self.after = before, after

    def call(self, x: Tensor) -> Tensor:
        """`[B, h, w, C]` -> `[B, h + before + after, w + before + after, C]`."""
        sides = (self.before, self.after)
        # The lowest finite number: a window of infinities alone would spoil gradients.
        lowest = float(np.finfo("float32" if self.compute_dtype != "float16" else "float16").min) / 2
        return ops.pad(x, ((0, 0), sides, sides, (0, 0)), constant_values=lowest)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The two middle dimensions grow."""
        batch, height, width, channels = shape
        more = self.before + self.after
        return batch, height and height + more, width and width + more, channels

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "before": self.before, "after": self.after}


@keras.saving.register_keras_serializable(package="yolov3")
class MatchChannels(layers.Layer):
    """The first `channels` channels, zeros where there are fewer."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels

    def call(self, x: Tensor) -> Tensor:
        """`[B, h, w, C]` -> `[B, h, w, channels]`."""
        missing = self.channels - x.shape[-1]
        return ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, missing))) if missing > 0 else x[..., : self.channels]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The last dimension is `channels`."""
        return *shape[:-1], self.channels

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "channels": self.channels}


def build(description: Description, any_size: bool = False, momentum: float = 0.97, seed: int = 0) -> keras.Model:
    """Build the network. Call it through `forward`.

    Arguments:
        description: the layers.
        any_size: leave height and width of the input open, for training at several sizes.
        momentum: of the moving averages in batch normalization. Darknet's 0.99 needs hundreds of steps to settle,
            more than a small data set has in an epoch.
        seed: of the initial weights.

    Returns:
        a model from float images `[B, height, width, channels]`, RGB from 0 to 1, to raw heads
        `[B, height / stride, width / stride, anchors * (5 + classes)]` in the order of the `[yolo]` layers. Layers are
        named `conv_<n>` and `norm_<n>`, n being the number of the section.
    """
    shape = (None, None) if any_size else (description.height, description.width)
    inputs = keras.Input((*shape, description.channels), name="image")
    outputs: list[Tensor] = []
    heads = []
    x = inputs
    for index, layer in enumerate(description.layers):
        if isinstance(layer, Convolutional):
            following = description.layers[index + 1] if index + 1 < len(description.layers) else None
            x = _convolution(x, layer, index, following if isinstance(following, Yolo) else None, momentum, seed)
        elif isinstance(layer, MaxPool):
            x = _pooling(x, layer, index)
        elif isinstance(layer, Upsample):
            x = UpsampleNearest(layer.stride, name=f"upsample_{index}")(x)
        elif isinstance(layer, Route):
            sources = [outputs[source] for source in layer.layers]
            x = layers.Concatenate(name=f"route_{index}")(sources) if len(sources) > 1 else sources[0]
        elif isinstance(layer, Shortcut):
            other = outputs[layer.source]
            if other.shape[-1] != x.shape[-1]:  # Darknet adds the channels that both have
                other = MatchChannels(x.shape[-1], name=f"match_{index}")(other)
            x = layers.Add(name=f"shortcut_{index}")([x, other])
            if layer.activation == "leaky":
                x = layers.LeakyReLU(LEAK, name=f"leaky_{index}")(x)
        else:
            heads.append(x)
        outputs.append(x)
    return keras.Model(inputs, heads, name="darknet")


def forward(net: keras.Model, images: Tensor, training: bool | None = False) -> list[Tensor]:
    """The raw heads of float images, as a list also where there is one only (Keras takes such a list apart)."""
    heads = net(images, training=training)
    return list(heads) if isinstance(heads, list | tuple) else [heads]


def _pooling(x: Tensor, layer: MaxPool, index: int) -> Tensor:
    # "same" is Darknet's border of size - 1 where windows move by one cell, or are two cells large; else its windows start
    # elsewhere.
    if layer.padding == layer.size - 1 and (layer.stride == 1 or layer.size <= 2):
        return layers.MaxPooling2D(layer.size, layer.stride, padding="same", name=f"pool_{index}")(x)
    if layer.padding:
        x = LowestPadding(layer.padding // 2, layer.padding - layer.padding // 2, name=f"pad_{index}")(x)
    return layers.MaxPooling2D(layer.size, layer.stride, padding="valid", name=f"pool_{index}")(x)


def _convolution(x: Tensor, layer: Convolutional, index: int, head: Yolo | None, momentum: float, seed: int) -> Tensor:
    if layer.padding and not (layer.stride == 1 and layer.padding == layer.size // 2 and layer.size % 2):
        # "same" puts the odd zero of a strided convolution at the end, Darknet `padding` zeros on every side
        x = layers.ZeroPadding2D(layer.padding, name=f"pad_{index}")(x)
        padding = "valid"
    else:
        padding = "same" if layer.padding else "valid"
    if head is None:
        kernel = keras.initializers.HeNormal(seed=seed + index)
        bias: Any = "zeros"
    else:
        kernel = keras.initializers.RandomNormal(stddev=0.01, seed=seed + index)
        bias = keras.initializers.Constant(_prior_bias(len(head.mask), head.classes))
    x = layers.Conv2D(
        layer.filters,
        layer.size,
        layer.stride,
        padding=padding,
        use_bias=not layer.batch_normalize,
        kernel_initializer=kernel,
        bias_initializer=bias,
        name=f"conv_{index}",
    )(x)
    if layer.batch_normalize:
        x = layers.BatchNormalization(epsilon=EPSILON, momentum=momentum, name=f"norm_{index}")(x)
    if layer.activation == "leaky":
        x = layers.LeakyReLU(LEAK, name=f"leaky_{index}")(x)
    return x


def _prior_bias(anchors: int, classes: int) -> np.ndarray:
    """Bias of a head `[anchors * (5 + classes)]`: anchors in the middle of their cells, few of which hold anything."""
    bias = np.zeros((anchors, 5 + classes), np.float32)
    bias[:, 4] = np.log(OBJECTNESS_PRIOR / (1 - OBJECTNESS_PRIOR))
    bias[:, 5:] = np.log(0.95 / 0.05) if classes == 1 else -np.log(classes - 1.0)  # a single class is known beforehand
    return bias.reshape(-1)


def convolutions(network: keras.Model) -> list[tuple[int, Any, Any | None]]:
    """Every convolution of a network from `build`, in order: (section number, Conv2D, BatchNormalization or None)."""
    by_name = {layer.name: layer for layer in network.layers}
    numbers = sorted(int(match[1]) for name in by_name if (match := re.fullmatch(r"conv_(\d+)", name)))
    return [(number, by_name[f"conv_{number}"], by_name.get(f"norm_{number}")) for number in numbers]


def set_trainable(network: keras.Model, trainable: bool, before: int) -> None:
    """Freeze or free the layers of the sections before number `before`; compile again afterwards.

    A frozen batch normalization uses its moving averages and leaves them alone.
    """
    for number, convolution, norm in convolutions(network):
        if number < before:
            convolution.trainable = trainable
            if norm is not None:
                norm.trainable = trainable
