"""What depends on the backend beneath Keras: whether to compile with XLA, and how several devices share a batch."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import keras

Tensor = Any


def jit_compile() -> bool:
    """Whether a model should be compiled with XLA: on JAX, where nothing else compiles.

    TensorFlow's graphs take seconds to make and XLA's minutes; on a CPU its steps are no faster for common convolutions
    and many times slower for depthwise ones (figures in docs/training.md).
    """
    return str(keras.backend.backend()) == "jax"


class OneDevice:
    """A stand-in for a distribution where there is nothing to share."""

    def scope(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def data_parallel(devices: int) -> Any:
    """How `devices` devices share each batch: an object whose `scope()` has to be open while a model is built, compiled,
    trained and run. Every device holds all weights and sees `1 / devices` of a batch, whose size must be a multiple.

    JAX (`keras.distribution.DataParallel`) computes what one device would, up to rounding. TensorFlow
    (`tf.distribute.MirroredStrategy`) computes each device's loss on its own part and averages the gradients, so a mean
    over something that parts have unequally many of (positive anchors) weighs them anew, as Matterport's
    `ParallelModel` does; batch normalization uses the moments of the part.

    Raises:
        ValueError: fewer than `devices` devices, or a backend for which Keras offers nothing.
    """
    if devices < 1:
        raise ValueError(f"devices must be at least 1, got {devices}")
    if devices == 1:
        return OneDevice()
    backend = str(keras.backend.backend())
    if backend not in ("tensorflow", "jax"):
        raise ValueError(f"devices is {devices}, but Keras shares batches on tensorflow and jax only, not on {backend}")
    names = sorted(keras.distribution.list_devices(), key=_number)
    if len(names) < devices:
        raise ValueError(f"devices is {devices}, but {backend} sees {len(names)}: {', '.join(names)}")
    if backend == "jax":
        return keras.distribution.DataParallel(devices=names[:devices], auto_shard_dataset=False)
    return _mirrored(tuple(names[:devices]))


@functools.cache
def _mirrored(names: tuple[str, ...]) -> Any:
    """TensorFlow's strategy for these devices. A second one in a process numbers its reductions as the first did, and
    the two then take each other's for their own."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([f"/{name.upper()}" for name in names])


def batch_multiple() -> int:
    """What the size of a batch must be a multiple of in the open scope, also where nothing is trained."""
    distribution = keras.distribution.distribution()
    return int(distribution.num_model_replicas) if distribution is not None else 1


def device_share(value: Any) -> Any:
    """One device's part of a mean loss, or of a bound on the gradient's norm, where gradients of all are added up.

    Only TensorFlow adds them up, after clipping. Keras divides the losses it knows; a model with a `compute_loss` of its
    own has to.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value if replicas == 1 else value / replicas


def _number(device: str) -> int:
    """`gpu:10` -> 10."""
    return int(device.rsplit(":", 1)[-1])
