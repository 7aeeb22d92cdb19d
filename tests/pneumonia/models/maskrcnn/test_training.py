"""The Mask R-CNN adapter on a handful of made-up studies: bright ellipses on noise."""

import types

import numpy as np
import pandas as pd
import pytest

keras = pytest.importorskip("keras")

from keraskit.boxes.average_precision import average_precision  # noqa: E402
from pneumonia.files import read_json  # noqa: E402
from pneumonia.models.maskrcnn import network, training  # noqa: E402
from pneumonia.models.maskrcnn import trained as trained_model  # noqa: E402

SIZE = 64
PLAIN = {
    "backbone": "resnet_small",
    "weights": "none",
    "masks": False,
    "anchors": {"scales": "auto", "ratios": [0.6, 1.0, 1.6]},
    "phases": [{"layers": "all", "epochs": 2, "rate": 1.0}],
    "batch_size": 4,
    "learning_rate": 0.003,
    "backbone_rate": 1.0,
    "warmup": 0.1,
    "weight_decay": 0.0001,
    "clip_norm": 5.0,
    "rpn_positive_iou": 0.5,
    "rpn_train_anchors": 32,
    "rpn_positive_ratio": 0.5,
    "train_rois": 16,
    "roi_positive_ratio": 0.33,
    "negatives_per_positive": 1.0,
    "monitor": "ap50",
    "patience": 100,
    "seed": 1,
    "augmentation": dict.fromkeys(["flip", "rotation", "translation", "scale", "brightness", "contrast"], 0.0),
}


class Store:
    """What the adapter needs of `pneumonia.data.store.ShardStore`; original and resized frame are the same."""

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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maskrcnn")
    store, studies, boxes = made_up(8, SIZE)
    seen = []
    keras.utils.set_random_seed(1)
    result = training.train(
        store, studies, boxes, folder / "models", folder / "state.npz", on_epoch=lambda *row: seen.append(row), **PLAIN
    )
    return types.SimpleNamespace(folder=folder, store=store, studies=studies, boxes=boxes, result=result, seen=seen)


def test_metrics_and_history(trained):
    metrics, history = trained.result
    assert [row["epoch"] for row in history] == [1, 2]
    assert {"loss", "rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "val_ap50"} <= set(
        history[0]
    )
    assert trained.seen == [(1, history[0]), (2, history[1])]
    assert metrics["train_studies"] == 10
    assert metrics["train_positives"] == 8
    assert metrics["ap50"] == max(row["val_ap50"] for row in history)
    assert 0.5 <= metrics["anchor_recall"] <= 1
    assert not list(trained.folder.glob("state*"))


def test_loaded_detector(trained):
    assert sorted(path.name for path in (trained.folder / "models").iterdir()) == ["mask_rcnn.h5", "model.json"]
    assert read_json(trained.folder / "models" / "model.json")["backbone"] == "resnet_small"
    detector = trained_model.load(trained.folder / "models")
    assert detector.image_size == SIZE
    images = trained.store.batch(["t00", "t01", "t02"])
    found = detector.detect(images, 0.0, 0.3, 5)
    assert len(found) == 3
    for rows in found:
        assert rows.dtype == np.float32
        assert rows.shape[1] == 5
        assert 1 <= len(rows) <= 5
        assert (rows[:, :4] >= 0).all()
        assert (rows[:, :4] <= SIZE).all()
        assert (np.diff(rows[:, 4]) <= 0).all()
    # An image's detections do not depend on its batch, up to rounding.
    alone = detector.detect(images[1:2], 0.0, 0.3, 5)[0]
    np.testing.assert_allclose(alone, found[1], atol=0.05)
    assert [len(rows) for rows in detector.detect(images, 1.0, 0.3, 5)] == [0, 0, 0]
    with pytest.raises(ValueError, match="must be"):
        detector.detect(np.zeros((1, 32, 32), np.uint8), 0.0, 0.3, 5)


def test_too_many_scales_are_refused(tmp_path):
    store, studies, boxes = made_up(4, SIZE)
    with pytest.raises(ValueError, match=r"anchors\.scales"):
        training.train(
            store, studies, boxes, tmp_path, None, **{**PLAIN, "anchors": {"scales": [1] * 6, "ratios": [1]}}
        )


@pytest.mark.slow
def test_overfit(tmp_path):
    store, studies, boxes = made_up(8, 128)
    keras.utils.set_random_seed(1)
    plain = {
        **PLAIN,
        "phases": [{"layers": "all", "epochs": 40, "rate": 1.0}],
        "rpn_positive_iou": 0.5,
        "rpn_train_anchors": 64,
        "train_rois": 32,
    }
    result = training.train(store, studies, boxes, tmp_path / "models", None, **plain)
    assert result.metrics["ap50"] >= 0.95

    names = studies[studies.subset == "train"].study.tolist()
    truths = [store.to_resized(name, boxes.loc[boxes.study == name, ["x", "y", "width", "height"]]) for name in names]

    def detections():
        return trained_model.load(tmp_path / "models").detect(store.batch(names), 0.05, 0.3, 10)

    exact = detections()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = detections()
    finally:
        keras.config.set_dtype_policy("float32")
    assert average_precision(half, truths) >= 0.95
    for a, b in zip(exact, half, strict=True):
        for box in a[a[:, 4] > 0.5]:  # each is found again, in its place to two pixels and with its score
            distance = np.abs(b[:, :4] - box[:4]).max(axis=1)
            assert distance.min() < 2
            assert b[distance.argmin(), 4] == pytest.approx(box[4], abs=0.1)


@pytest.mark.parametrize(
    ("weights", "train_bn"), [("none", None), ("imagenet", None), ("coco", False), ("weights/own.h5", False)]
)
def test_new_heads_learn_their_moments_and_a_detectors_keep_them(weights, train_bn):
    described = network.describe(SIZE, "resnet50", weights, True, [16, 24, 48], [1.0])
    assert network.configure(described).TRAIN_BN is train_bn
