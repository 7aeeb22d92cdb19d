"""The pipeline's YOLOv3: trained on a few studies, written, read, and detecting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pneumonia import files
from pneumonia.models.yolo import trained as trained_model
from pneumonia.models.yolo import training
from pneumonia.training.batches import Trained

SIZE = 64
AUGMENTATION = {"flip": 0.5, "rotation": 5.0, "translation": 0.05, "scale": 0.1, "brightness": 0.1, "contrast": 0.2}
VALUES: dict[str, Any] = {
    "network": "yolov3-tiny",
    "weights": "none",
    "anchors": "auto",
    "loss": "ciou",
    "ignore_threshold": 0.5,
    "objectness_balance": 1.0,
    "multi_scale": False,
    "epochs": 2,
    "heads_epochs": 1,
    "batch_size": 4,
    "learning_rate": 0.001,
    "schedule": "cosine",
    "burn_in": 0.1,
    "weight_decay": 0.0005,
    "clip_norm": 5.0,
    "negatives_per_positive": 1.0,
    "monitor": "ap50",
    "patience": 2,
    "seed": 1,
    "augmentation": AUGMENTATION,
}


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


@pytest.fixture(scope="module")
def data() -> tuple[Store, pd.DataFrame, pd.DataFrame]:
    names = [f"study{index}" for index in range(9)]
    studies = pd.DataFrame(
        {"study": names, "subset": ["train"] * 4 + ["validation"] * 4 + ["holdout"], "target": [1, 1, 0, 0] * 2 + [1]}
    )
    rows = [(name, 10.0, 20.0, 40.0, 50.0) for name, target in zip(names, studies["target"], strict=True) if target]
    return Store(names), studies, pd.DataFrame(rows, columns=["study", "x", "y", "width", "height"])


@pytest.fixture(scope="module")
def trained(data: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    folder = tmp_path_factory.mktemp("yolo")
    return training.train(*data, folder / "model", folder / "state/run.npz", **VALUES), folder


def test_reports(trained: tuple[Trained, Path]):
    metrics, history = trained[0]
    assert [row["epoch"] for row in history] == [1, 2]
    assert set(history[0]) == {
        "epoch", "loss", "box_loss", "objectness_loss", "class_loss", "learning_rate", "val_ap50"
    }  # fmt: skip
    assert metrics["epochs"] == 2
    assert metrics["train_studies"] == 4
    assert metrics["train_positives"] == 2
    assert [20.0, 25.0] in metrics["anchors"]  # 40 x 50 at half size
    assert metrics["anchors_mean_iou"] == pytest.approx(1.0)
    assert metrics["ap50"] == max(row["val_ap50"] for row in history)


def test_writes_darknets_formats_and_no_state(trained: tuple[Trained, Path]):
    folder = trained[1]
    assert sorted(path.name for path in (folder / "model").iterdir()) == ["model.cfg", "model.json", "model.weights"]
    assert files.read_json(folder / "model/model.json")["image_size"] == SIZE
    assert not list((folder / "state").iterdir())
    # 8,858,734 with 80 classes; a head of 3 * 6 filters instead of 3 * 85 has 237 fewer, of 512 + 1 and 256 + 1 numbers
    assert trained[0].metrics["parameters"] == 8_858_734 - 237 * (513 + 257)
    assert (folder / "model/model.weights").stat().st_size == 20 + 4 * trained[0].metrics["parameters"]


def test_detects_alike_in_any_batch(trained: tuple[Trained, Path], data: Any):
    detector = trained_model.load(trained[1] / "model")
    assert detector.image_size == SIZE
    images = data[0].batch(list(data[1]["study"]))
    found = detector.detect(images, score_floor=0.001, nms_iou=0.3, max_detections=5)
    assert len(found) == 9
    for one in found:
        assert one.dtype == np.float32
        assert one.shape[1] == 5
        assert len(one) <= 5
        assert (one[:, :4] >= 0).all()
        assert (one[:, :4] <= SIZE).all()
        assert (np.diff(one[:, 4]) <= 0).all()
        assert ((one[:, 4] >= 0.001) & (one[:, 4] <= 1)).all()
    alone = detector.detect(images[2:3], score_floor=0.001, nms_iou=0.3, max_detections=5)[0]
    np.testing.assert_allclose(alone, found[2], atol=1e-3)
    assert detector.detect(images[:0], score_floor=0.001, nms_iou=0.3, max_detections=5) == []
    with pytest.raises(ValueError, match=r"images must be \[B, 64, 64\], got \[1, 32, 32\]"):
        detector.detect(np.zeros((1, 32, 32), np.uint8), 0.1, 0.3, 5)


@pytest.mark.slow
def test_same_seed_same_bytes(trained: tuple[Trained, Path], data: Any, tmp_path: Path):
    training.train(*data, tmp_path / "model", None, **VALUES)
    first, second = (folder / "model/model.weights" for folder in (trained[1], tmp_path))
    assert first.read_bytes() == second.read_bytes()


def test_other_sizes_without_validation_boxes(data: Any, tmp_path: Path):
    """Several input sizes, COCO's anchors, the original loss, steps; nothing to find in validation."""
    store, studies, boxes = data
    studies = studies.assign(subset=["train"] * 4 + ["holdout"] * 2 + ["validation"] * 2 + ["holdout"])
    values = {
        **VALUES,
        "monitor": "loss",
        "multi_scale": True,
        "anchors": "coco",
        "loss": "darknet",
        "schedule": "steps",
        "epochs": 1,
    }
    metrics, history = training.train(store, studies, boxes, tmp_path / "model", None, **{**values, "heads_epochs": 0})
    assert len(history) == 1
    assert metrics["ap50"] is None
    assert trained_model.load(tmp_path / "model").image_size == SIZE


def test_anchors():
    listed = [[1, 2], [3, 4]]
    assert training.choose_anchors(listed, "yolov3-tiny", SIZE, {}, 1) == [(1.0, 2.0), (3.0, 4.0)]
    assert training.choose_anchors("coco", "yolov3-tiny", SIZE, {}, 1) is None
    with pytest.raises(ValueError, match="anchors must be coco, auto or a list of widths and heights, got 'voc'"):
        training.choose_anchors("voc", "yolov3-tiny", SIZE, {}, 1)


def test_batches_at_another_size_keep_boxes_in_place():
    image = np.zeros((1, 128, 128), np.uint8)
    image[0, 32:64, 64:96] = 255
    sizes = set()
    for seed in range(40):
        images, boxes = training._rescaled(
            image, np.array([[[64, 32, 96, 64]]], np.float32), np.random.default_rng(seed)
        )
        size = images.shape[1]
        sizes.add(size)
        x1, y1, x2, y2 = (round(float(value)) for value in boxes[0, 0])
        assert images[0, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() == 255
        assert images[0, :, x2 + 2 :].max() == 0
    assert sizes == {64, 96, 128, 160, 192}
