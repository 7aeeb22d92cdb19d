"""What the trainings of both detectors share: how an epoch is validated, and what is reported at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumonia.training.story import Row, TrainingData, Validation

Boxes = Mapping[str, NDArray[np.float32]]  # study -> [N, 4] x1 y1 x2 y2, pixels of the resized image
Detect = Callable[..., list[NDArray[np.float32]]]  # of a detector, see `pneumonia.models.detectors.Detector`

AP50 = "val_ap50"
VALIDATION: dict[str, Any] = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 20}  # of the AP after each epoch
VALIDATION_BATCH = 32


def validation(detect: Detect, data: TrainingData, monitor: str, loss: Callable[[], float]) -> Validation:
    """After each epoch the AP at IoU 0.5 of the validation studies; with the monitor `loss` also `val_loss`.

    The monitor decides; where no study has a box to find, the training loss does.

    Arguments:
        loss: the mean loss of the validation studies as they are.
    """
    from keraskit.average_precision import average_precision

    studies = list(data.validation["study"])
    truths = [data.validation_boxes[study] for study in studies]
    if not any(len(own) for own in truths):
        return Validation(None, "loss", "min")

    def validate() -> Row:
        found: list[NDArray[np.float32]] = []
        for first in range(0, len(studies), VALIDATION_BATCH):
            found += detect(data.store.batch(studies[first : first + VALIDATION_BATCH]), **VALIDATION)
        values = {AP50: average_precision(found, truths)}
        return values | ({"val_loss": loss()} if monitor == "loss" else {})

    return Validation(validate, "val_loss", "min") if monitor == "loss" else Validation(validate, AP50, "max")


def corners_of(boxes: Boxes) -> NDArray[np.float32]:
    """x1, y1, x2, y2 `[N, 4]` of all boxes, studies sorted."""
    return np.concatenate([np.zeros((0, 4), np.float32), *(boxes[study] for study in sorted(boxes))])


def most_boxes(data: TrainingData) -> int:
    """The most boxes that an image may have, of a study or of a mosaic of four; at least 1."""
    tables = (data.train_boxes, data.validation_boxes)
    most = max([1, *(len(own) for table in tables for own in table.values())])
    return 4 * most if data.mosaics else most


def metrics(best: Row, data: TrainingData) -> dict[str, Any]:
    """The part of metrics/<model>.json that both detectors have, from the row of the best epoch."""
    return {"ap50": best.get(AP50), "train_positives": sum(1 for own in data.train_boxes.values() if len(own))}
