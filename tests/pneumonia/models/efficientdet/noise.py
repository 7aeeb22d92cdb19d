"""A small training on the studies of noise of YOLOv3's tests."""

from __future__ import annotations

from pathlib import Path

import keras
from tests.pneumonia.models.yolo.noise import BOXES, NAMES, STUDIES, Store

from pneumonia.models.efficientdet.training import Architecture, Matching, train
from pneumonia.training.augmentation import Augmentation
from pneumonia.training.groups import Epochs, Optimization, Sampling, Stopping
from pneumonia.training.story import Trained, TrainingData


def fit(out: Path, state: Path | None = None) -> Trained:
    keras.utils.set_random_seed(1)  # as the stage does, by `devices.configure`
    augmentation = Augmentation(0.5, 5.0, 0.05, 0.1, 0.1, 0.2)
    sampling = Sampling(batch_size=4, negatives_per_positive=1.0, seed=1)
    return train(
        TrainingData(Store(NAMES), STUDIES, BOXES, sampling, augmentation),
        out,
        state,
        architecture=Architecture("d0", "resnet_small", "none", "group", 3.0, [1.0]),
        matching=Matching(0.5, 0.4),
        epochs=Epochs(epochs=2, heads_epochs=1),
        stopping=Stopping("ap50", patience=2),
        optimization=Optimization(0.001, 0.5, warmup=0.1, weight_decay=0.0001, clip_norm=5.0),
        average=0.9,
    )
