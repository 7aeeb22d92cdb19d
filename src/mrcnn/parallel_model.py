"""Where Matterport's package shares a batch among GPUs by hand; here `GPU_COUNT` does it (`keraskit.compute.backend`)."""

from __future__ import annotations

from typing import Any


class ParallelModel:
    """Refused: a model of its own would stand beside the one that trains.

    Raises:
        NotImplementedError: always; it says what to write.
    """

    def __init__(self, *arguments: Any, **kwargs: Any):
        raise NotImplementedError(
            "mrcnn.parallel_model has no ParallelModel: set GPU_COUNT in the Config, and MaskRCNN('training', config, ...) "
            "trains on that many devices (TensorFlow and JAX) by Keras' own distribution"
        )
