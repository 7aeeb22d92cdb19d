"""Nine studies of noise, four to train on, four to validate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pneumonia.models.yolo.training import Architecture, Objective, Optimization, train
from pneumonia.training.augmentation import Augmentation
from pneumonia.training.groups import Epochs, Sampling, Stopping
from pneumonia.training.story import Trained, TrainingData

SIZE = 64
NAMES = [f"study{index}" for index in range(9)]
STUDIES = pd.DataFrame(
    {"study": NAMES, "subset": ["train"] * 4 + ["validation"] * 4 + ["holdout"], "target": [1, 1, 0, 0] * 2 + [1]}
)
BOXES = pd.DataFrame(
    [(name, 10.0, 20.0, 40.0, 50.0) for name, target in zip(NAMES, STUDIES["target"], strict=True) if target],
    columns=["study", "x", "y", "width", "height"],
)


class Store:
    """Studies of 128 pixels at half size: what the adapter uses of a ShardStore."""

    size = SIZE

    def __init__(self, studies: list[str]) -> None:
        rng = np.random.default_rng(1)
        self.images = {study: rng.integers(0, 256, (SIZE, SIZE), np.uint8) for study in studies}

    def batch(self, studies: list[str]) -> np.ndarray:
        return np.stack([self.images[study] for study in studies])

    def to_resized(self, study: str, boxes: np.ndarray) -> np.ndarray:
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) / 2


def fit(
    out: Path,
    state: Path | None = None,
    *,
    studies: pd.DataFrame = STUDIES,
    anchors: str = "auto",
    multi_scale: bool = False,
    loss: str = "ciou",
    schedule: str = "cosine",
    monitor: str = "ap50",
    epochs: tuple[int, int] = (2, 1),
    label_smoothing: float = 0.0,
    average: float = 0.0,
    mosaics: float = 0.0,
) -> Trained:
    augmentation = Augmentation(0.5, 5.0, 0.05, 0.1, 0.1, 0.2)
    sampling = Sampling(batch_size=4, negatives_per_positive=1.0, seed=1)
    return train(
        TrainingData(Store(NAMES), studies, BOXES, sampling, augmentation, mosaics),
        out,
        state,
        architecture=Architecture("yolov3-tiny", "none", anchors, multi_scale),
        objective=Objective(loss, ignore_threshold=0.5, objectness_balance=1.0, label_smoothing=label_smoothing),
        epochs=Epochs(*epochs),
        stopping=Stopping(monitor, patience=2),
        optimization=Optimization(0.001, schedule, burn_in=0.1, weight_decay=0.0005, clip_norm=5.0, average=average),
    )
