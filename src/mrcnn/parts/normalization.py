"""Batch normalization that stays frozen, and convolutions that take a frozen one into their kernel."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

Tensor = Any


@keras.saving.register_keras_serializable("mrcnn")
class BatchNorm(layers.BatchNormalization):
    """Batch normalization with its mode settled: `train_bn` None: as the model's, False: always with the stored moments
    (gamma and beta learn all the same), True: always with the batch's.

    An argument of the call would not do: a functional model replaces it by its own mode.
    """

    def __init__(self, train_bn: bool | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.train_bn = train_bn

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        return super().call(inputs, training=training if self.train_bn is None else self.train_bn, mask=mask)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "train_bn": self.train_bn}


@keras.saving.register_keras_serializable("mrcnn")
class ConvNorm(layers.Layer):
    """A convolution and its batch normalization, of which weight files and phases know each by its name (`parts`).

    A frozen normalization is a factor and a shift of each channel, so the kernel takes it in: the same values up to
    rounding, without the passes over the feature map and its gradient that it would cost.

    Call: `[B, h, w, C] -> [B, h', w', filters]`.
    """

    def __init__(self, conv: layers.Conv2D, norm: BatchNorm, **kwargs: Any):
        # Variables stay float32 where features are bfloat16: the kernel is rounded once, after it is scaled.
        super().__init__(autocast=False, name=f"{conv.name}_{norm.name}", **kwargs)
        self.conv, self.norm = conv, norm

    @property
    def parts(self) -> list[layers.Layer]:
        return [self.conv, self.norm]

    def build(self, shape: Any) -> None:
        self.conv.build(shape)
        self.norm.build(self.conv.compute_output_shape(shape))

    def compute_output_shape(self, shape: Any) -> Any:
        return self.conv.compute_output_shape(shape)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        conv, norm = self.conv, self.norm
        if norm.train_bn is not False:
            return norm(conv(x), training=training)
        scale = norm.gamma / ops.sqrt(norm.moving_variance + norm.epsilon)
        shift = norm.beta - norm.moving_mean * scale
        if conv.use_bias:
            shift = shift + conv.bias * scale
        x, kernel, shift = (ops.cast(tensor, self.compute_dtype) for tensor in (x, conv.kernel * scale, shift))
        return ops.conv(x, kernel, strides=conv.strides, padding=conv.padding) + shift
