"""The pipeline's YOLOv3: trained on a few studies and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.pneumonia.models.yolo.noise import SIZE, STUDIES, fit

from pneumonia import files
from pneumonia.models.yolo import training
from pneumonia.models.yolo.trained import load
from pneumonia.training.story import Trained


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


@pytest.mark.slow
def test_same_seed_same_bytes(trained: tuple[Trained, Path], tmp_path: Path):
    fit(tmp_path / "model")
    first, second = (folder / "model/model.weights" for folder in (trained[1], tmp_path))
    assert first.read_bytes() == second.read_bytes()


def test_other_sizes_without_validation_boxes(tmp_path: Path):
    """Several input sizes, COCO's anchors, the original loss, steps, mosaics and what goes with them; nothing to find in
    validation.
    """
    metrics, history = fit(
        tmp_path / "model",
        studies=STUDIES.assign(subset=["train"] * 4 + ["holdout"] * 2 + ["validation"] * 2 + ["holdout"]),
        anchors="coco",
        multi_scale=True,
        loss="darknet",
        schedule="steps",
        monitor="loss",
        epochs=(1, 0),
        label_smoothing=0.1,
        average=0.9,
        mosaics=1.0,
    )
    assert len(history) == 1
    assert metrics["ap50"] is None
    assert load(tmp_path / "model").image_size == SIZE


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
