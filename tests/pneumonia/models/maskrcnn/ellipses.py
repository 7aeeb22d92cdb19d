"""A handful of made-up studies: bright ellipses on noise."""

import numpy as np
import pandas as pd

from pneumonia.models.maskrcnn.training import Architecture, Losses, Targets, train
from pneumonia.training.augmentation import Augmentation
from pneumonia.training.groups import Optimization, Sampling, Stopping
from pneumonia.training.story import TrainingData

SIZE = 64


class Store:
    """What the adapter needs of `pneumonia.data.images.store.ShardStore`; original and resized frame are the same."""

    def __init__(self, images):
        self.images, self.size = images, next(iter(images.values())).shape[0]

    def batch(self, studies):
        return np.stack([self.images[study] for study in studies])

    def to_resized(self, study, boxes):
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def made_up(count, size, seed=0):
    """`count` studies with one or two ellipses and a quarter as many without; all in train and again in validation."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    images, rows, listed = {}, [], []
    for i in range(count + count // 4):
        image = rng.normal(60, 8, (size, size))
        positive = i < count
        for k in range(rng.integers(1, 3) if positive else 0):
            w, h = rng.uniform(size * 0.2, size * 0.4, 2)
            left = (0.04 + 0.5 * k) * size + rng.uniform(0, 0.06 * size)
            top = rng.uniform(0.05 * size, 0.95 * size - h)
            inside = ((x + 0.5 - left - w / 2) / (w / 2)) ** 2 + ((y + 0.5 - top - h / 2) / (h / 2)) ** 2 <= 1
            image[inside] += 110
            rows += [(name, left, top, w, h) for name in (f"t{i:02d}", f"v{i:02d}")]
        for subset, prefix in (("train", "t"), ("validation", "v")):
            images[f"{prefix}{i:02d}"] = np.clip(image, 0, 255).astype(np.uint8)
            listed.append((f"{prefix}{i:02d}", subset, int(positive)))
    studies = pd.DataFrame(listed, columns=["study", "subset", "target"])
    return Store(images), studies, pd.DataFrame(rows, columns=["study", "x", "y", "width", "height"])


def fit(store, studies, boxes, out, state=None, *, epochs=2, rpn_train_anchors=32, train_rois=16, on_epoch=None):
    sampling = Sampling(batch_size=4, negatives_per_positive=1.0, seed=1)
    return train(
        TrainingData(store, studies, boxes, sampling, Augmentation(0, 0, 0, 0, 0, 0)),
        out,
        state,
        architecture=Architecture(
            "resnet_small", "none", False, {"scales": "auto", "ratios": [0.6, 1.0, 1.6]}, "layer"
        ),
        targets=Targets(0.5, rpn_train_anchors, 0.5, train_rois, 0.33),
        losses=Losses("sampled", 0.15),
        phases=[{"layers": "all", "epochs": epochs, "rate": 1.0}],
        stopping=Stopping("ap50", patience=100),
        optimization=Optimization(0.003, backbone_rate=1.0, warmup=0.1, weight_decay=0.0001, clip_norm=5.0),
        average=0.9,
        on_epoch=on_epoch,
    )
