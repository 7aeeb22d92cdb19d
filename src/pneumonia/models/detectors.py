"""What both detectors share: what a trained one does, and how batches of images are run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Detector(Protocol):
    """A trained detector, as `load` of a detector's `trained` gives it."""

    image_size: int

    def detect(
        self, images: NDArray[np.uint8], score_floor: float, nms_iou: float, max_detections: int
    ) -> list[NDArray[np.float32]]:
        """uint8 `[B, S, S]` -> for each image float32 `[n, 5]`: x1, y1, x2, y2 in its pixels, score; best first."""

    def graph(self, score_floor: float, nms_iou: float, max_detections: int) -> Any:
        """`detect` as one Keras graph: `images` uint8 `[B, S, S]` -> `boxes` float32 `[B, max_detections, 4]` (x1, y1, x2, y2),
        `scores` `[B, max_detections]`, best first, and `count` int32 `[B]`: how many of them there are; the rest is zeros."""


def filled_batches(
    images: NDArray[np.uint8], size: int, largest: int, run: Callable[[NDArray[np.uint8]], Any]
) -> list[Any]:
    """`run` on parts of uint8 `[B, size, size]`, one result an image.

    Parts hold `largest` images at most and are filled up with black ones to a power of two (and to a multiple of the
    devices that share them): a handful of shapes, so a handful of compilations.

    Raises:
        ValueError: images are of another size.
    """
    from keraskit.compute.backend import batch_multiple

    if images.ndim != 3 or images.shape[1:] != (size, size):
        raise ValueError(f"images must be [B, {size}, {size}], got {list(images.shape)}")
    results: list[Any] = []
    for first in range(0, len(images), largest):
        part = images[first : first + largest]
        count = 2 ** math.ceil(math.log2(len(part)))
        count += -count % batch_multiple()
        filled = np.concatenate([part, np.zeros((count - len(part), *part.shape[1:]), part.dtype)])
        results += list(run(filled)[: len(part)])
    return results
