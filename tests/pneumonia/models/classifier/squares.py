"""A task that takes the classifier a few steps: a bright square is an opacity."""

import numpy as np
import pandas as pd

from pneumonia.models.classifier.training import Architecture, Objective, train
from pneumonia.training.augmentation import Augmentation
from pneumonia.training.groups import Epochs, Optimization, Sampling
from pneumonia.training.story import TrainingData

SIZE = 32
STUDIES = pd.DataFrame(
    {
        "study": [f"s{i:02d}" for i in range(80)],
        "subset": ["train"] * 48 + ["validation"] * 24 + ["holdout"] * 8,
        "target": [int(i % 3 == 0) for i in range(80)],
        "category": [("opacity", "normal", "not_normal")[i % 3] for i in range(80)],
    }
)


class Store:
    size = SIZE

    def __init__(self, studies):
        rng = np.random.default_rng(2)
        self.images = {}
        for study, target in zip(studies["study"], studies["target"], strict=True):
            image = rng.integers(40, 80, (SIZE, SIZE), dtype=np.uint8)
            if target:
                x, y = rng.integers(4, 16, 2)
                image[y : y + 12, x : x + 12] += 120
            self.images[study] = image

    def batch(self, studies):
        return np.stack([self.images[study] for study in studies])


PLAIN = Objective(classes_weight=0.0, label_smoothing=0.0)


def fit(out, state=None, *, hidden=0, epochs=4, objective=PLAIN, average=0.0, on_epoch=None):
    augmentation = Augmentation(flip=0.5, rotation=0, translation=0.05, scale=0, brightness=0, contrast=0.1)
    sampling = Sampling(batch_size=8, negatives_per_positive=1.0, seed=1)
    return train(
        TrainingData(Store(STUDIES), STUDIES, None, sampling, augmentation),
        out,
        state,
        architecture=Architecture("resnet_small", "none", dropout=0.1, hidden=hidden),
        objective=objective,
        epochs=Epochs(epochs, heads_epochs=1),
        patience=3,
        optimization=Optimization(0.003, backbone_rate=1.0, warmup=0.1, weight_decay=0.0001, clip_norm=5.0),
        average=average,
        on_epoch=on_epoch,
    )
