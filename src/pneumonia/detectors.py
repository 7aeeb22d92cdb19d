"""What both detectors share: how a training is validated and reported, and how batches of images are run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pneumonia.training_data import History

if TYPE_CHECKING:
    from pneumonia.images import ShardStore

Boxes = Mapping[str, NDArray[np.float32]]  # study -> [N, 4] x1 y1 x2 y2, pixels of the resized image

MONITOR = "val_ap50"
VALIDATION: dict[str, Any] = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 20}  # of the AP after each epoch
VALIDATION_BATCH = 32


class Detector(Protocol):
    """A trained detector, as `load` of `pneumonia.maskrcnn` and of `pneumonia.yolo` gives it."""

    image_size: int

    def detect(
        self, images: NDArray[np.uint8], score_floor: float, nms_iou: float, max_detections: int
    ) -> list[NDArray[np.float32]]:
        """uint8 `[B, S, S]` -> for each image float32 `[n, 5]`: x1, y1, x2, y2 in its pixels, score; best first."""


def validation(
    detector: Detector, store: ShardStore, studies: Sequence[str], truths: Boxes
) -> Callable[[], dict[str, float]] | None:
    """The AP at IoU 0.5 on `studies`, to be asked for after each epoch; None where they have no box to find."""
    from detection.average_precision import average_precision

    if not any(len(truths[study]) for study in studies):
        return None

    def validate() -> dict[str, float]:
        found: list[NDArray[np.float32]] = []
        for first in range(0, len(studies), VALIDATION_BATCH):
            found += detector.detect(store.batch(studies[first : first + VALIDATION_BATCH]), **VALIDATION)
        return {MONITOR: average_precision(found, [truths[study] for study in studies])}

    return validate


def filled_batches(
    images: NDArray[np.uint8], size: int, largest: int, run: Callable[[NDArray[np.uint8]], Any]
) -> list[Any]:
    """`run` on parts of uint8 `[B, size, size]`, one result an image.

    Parts hold `largest` images at most and are filled up with black ones to a power of two: a handful of shapes, so a
    handful of compilations. Raises ValueError for images of another size.
    """
    if images.ndim != 3 or images.shape[1:] != (size, size):
        raise ValueError(f"images must be [B, {size}, {size}], got {list(images.shape)}")
    results: list[Any] = []
    for first in range(0, len(images), largest):
        part = images[first : first + largest]
        count = 2 ** math.ceil(math.log2(len(part)))
        filled = np.concatenate([part, np.zeros((count - len(part), *part.shape[1:]), part.dtype)])
        results += list(run(filled)[: len(part)])
    return results


def corners_of(boxes: Boxes) -> NDArray[np.float32]:
    """x1, y1, x2, y2 `[N, 4]` of all boxes, studies sorted."""
    return np.concatenate([np.zeros((0, 4), np.float32), *(boxes[study] for study in sorted(boxes))])


def training_metrics(history: History, monitor: str, mode: str, boxes: Boxes) -> dict[str, Any]:
    """The part of metrics/<model>.json that does not depend on the network; `boxes` of the training studies."""
    from detection.training import best_epoch

    best = best_epoch(history, monitor, mode)
    return {
        "ap50": best.get(MONITOR),
        "loss": best["loss"],
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "train_studies": len(boxes),
        "train_positives": sum(1 for own in boxes.values() if len(own)),
    }
