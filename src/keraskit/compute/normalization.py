"""Keras' batch normalisation, with TensorFlow's fused kernel behind it where that is the backend.

Keras 3 writes batch normalisation as separate operations. On TensorFlow each is a pass over memory: forward and
backward of `[8, 128, 128, 96]` take 303 ms on two cores, 42 ms fused, and it is then the larger part of a convolutional
network's training step. In inference the fused operation is also the one that TensorFlow folds into the convolution
before it. JAX fuses by itself and PyTorch has its own kernel, so there, and for ranks and axes that the kernel does not
know, this is Keras' layer unchanged. Same variables, same names, same numbers to rounding everywhere.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keraskit")
class BatchNormalization(keras.layers.BatchNormalization):
    """Drop-in for `keras.layers.BatchNormalization`."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        learns = bool(training) and self.trainable
        # Frozen inside a training step: Keras' two operations have a cheap gradient, and the fused kernel's gradient in
        # this mode has no deterministic version on a GPU.
        frozen = bool(training) and not self.trainable
        if keras.backend.backend() != "tensorflow" or frozen or mask is not None or not self._is_plain(inputs):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        gamma = ops.cast(self.gamma, "float32") if self.scale else ops.ones(channels)
        beta = ops.cast(self.beta, "float32") if self.center else ops.zeros(channels)
        if not learns:
            moments = ops.cast(self.moving_mean, "float32"), ops.cast(self.moving_variance, "float32")
            return tf.compat.v1.nn.fused_batch_norm(
                inputs, gamma, beta, *moments, epsilon=self.epsilon, is_training=False
            )[0]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=self.epsilon, is_training=True
        )
        # The kernel gives the unbiased variance, Keras keeps the biased one.
        count = ops.cast(ops.size(inputs) // channels, "float32")
        variance = variance * (count - 1.0) / count
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + ops.cast(value, moving.dtype) * (1.0 - self.momentum))
        return outputs

    def _is_plain(self, inputs: Any) -> bool:
        last = self.axis in (-1, 3) and len(inputs.shape) == 4 and inputs.shape[-1] is not None
        # cuDNN takes no smaller epsilon.
        return last and not self.renorm and not self.synchronized and self.epsilon >= 1e-5
