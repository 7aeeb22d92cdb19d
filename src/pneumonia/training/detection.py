"""What the trainings of both detectors share: how an epoch is validated, and what is reported at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumonia.training.batches import History

if TYPE_CHECKING:
    from pneumonia.data.store import ShardStore

Boxes = Mapping[str, NDArray[np.float32]]  # study -> [N, 4] x1 y1 x2 y2, pixels of the resized image
Detect = Callable[..., list[NDArray[np.float32]]]  # `detect` of a detector, see pneumonia.models.detectors.Detector

AP50 = "val_ap50"
VALIDATION: dict[str, Any] = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 20}  # of the AP after each epoch
VALIDATION_BATCH = 32


class Validation(NamedTuple):
    """What is measured after each epoch, and which of the values decides what the best epoch is.

    Fields: those arguments of `keraskit.training.fit.fit`.
    """

    validate: Callable[[], dict[str, float]] | None
    monitor: str
    mode: str


def validation(
    detect: Detect,
    store: ShardStore,
    studies: Sequence[str],
    truths: Boxes,
    monitor: str,
    loss: Callable[[], float],
) -> Validation:
    """After each epoch the AP at IoU 0.5 on `studies`; with the monitor `loss` also `val_loss`, which then decides.

    Where no study has a box to find, the training loss decides. loss: the mean loss of the studies as they are.
    """
    from keraskit.boxes.average_precision import average_precision

    if not any(len(truths[study]) for study in studies):
        return Validation(None, "loss", "min")

    def validate() -> dict[str, float]:
        found: list[NDArray[np.float32]] = []
        for first in range(0, len(studies), VALIDATION_BATCH):
            found += detect(store.batch(studies[first : first + VALIDATION_BATCH]), **VALIDATION)
        values = {AP50: average_precision(found, [truths[study] for study in studies])}
        return values | ({"val_loss": loss()} if monitor == "loss" else {})

    return Validation(validate, "val_loss", "min") if monitor == "loss" else Validation(validate, AP50, "max")


def corners_of(boxes: Boxes) -> NDArray[np.float32]:
    """x1, y1, x2, y2 `[N, 4]` of all boxes, studies sorted."""
    return np.concatenate([np.zeros((0, 4), np.float32), *(boxes[study] for study in sorted(boxes))])


def most_boxes(*tables: Boxes) -> int:
    """The most boxes that a study has; at least 1."""
    return max([1, *(len(own) for table in tables for own in table.values())])


def training_metrics(history: History, validation: Validation, boxes: Boxes) -> dict[str, Any]:
    """The part of metrics/<model>.json that does not depend on the network; `boxes` of the training studies."""
    from keraskit.training.fit import best_epoch

    best = best_epoch(history, validation.monitor, validation.mode)
    return {
        "ap50": best.get(AP50),
        "loss": best["loss"],
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "train_studies": len(boxes),
        "train_positives": sum(1 for own in boxes.values() if len(own)),
    }
