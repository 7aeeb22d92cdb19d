"""The models in memory: boxes of each find their way back to original pixels, and are fused there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pneumonia.runtime.tiny import OPTIONS, write_bundles

from pneumonia.prediction.calibration import Calibration
from pneumonia.reading_room import ensemble
from pneumonia.reading_room.ensemble import Batch, Ensemble, Study, sizes

MODELS = ("classifier", "maskrcnn", "yolo")

PREDICT = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 20, "flip": False, "batch_size": 2}
ENSEMBLE = {
    "strategy": "wbf",
    "iou": 0.4,
    "weights": {"maskrcnn": 1.0, "yolo": 1.0},
    "thresholds": {"maskrcnn": 0.0, "yolo": 0.0},
    "gate": {"mode": "multiply", "threshold": 0.0, "power": 1.0},
    "shrink": 1.0,
}


class Finder:
    """Finds one box, x 8..24, y 16..32 of its image, wherever that is not black."""

    def __init__(self, image_size: int, score: float) -> None:
        self.image_size, self.score = image_size, score

    def detect(self, images: np.ndarray, **options: Any) -> list[np.ndarray]:
        assert images.shape[1:] == (self.image_size, self.image_size)
        box = np.array([[8, 16, 24, 32, self.score]], np.float32)
        return [box if image.any() else box[:0] for image in images]


class Scorer:
    image_size = 32

    def predict(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert images.shape[1:] == (32, 32)
        return np.full(len(images), 0.5, np.float32), np.zeros((len(images), 1, 1), np.float32)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("classifier", "maskrcnn", "yolo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
    known = {"classifier": Scorer(), "maskrcnn": Finder(64, 0.75), "yolo": Finder(128, 0.5)}
    monkeypatch.setattr(ensemble, "load", lambda name, folder: known[name])
    return tmp_path


def test_each_model_sees_its_size_and_boxes_meet_in_original_pixels(models: Path):
    seen = Study(np.full((128, 96), 9, np.uint8), 1.0)
    detections, scores = Ensemble(models, MODELS, predict=PREDICT, ensemble=ENSEMBLE)(
        {"seen": seen, "black": Study(np.zeros((64, 64), np.uint8), 1.0)}
    )
    # In 64 pixels: scale 0.5, pad_x 8, so x (8..24 - 8) * 2 = 0..32, y 16..32 * 2 = 32..64, score 0.75.
    # In 128 pixels: scale 1, pad_x 16, so x 8..24 - 16 = -8..8, cut at the border, y 16..32; score 0.5.
    # Either is seen by one model of two, of equal trust: half of its score, and times the gate's 0.5.
    assert detections[["x", "y", "width", "height"]].to_numpy().tolist() == [[0, 32, 32, 32], [0, 16, 8, 16]]
    assert detections["study"].tolist() == ["seen", "seen"]
    assert detections["score"].tolist() == [0.1875, 0.125]
    assert scores.to_dict() == {"seen": (0.5 + 0.375) / 2, "black": 0.25}  # the gate does not count in a study's score


def test_pixels_that_are_not_square():
    batch = Batch(64, {"a": Study(np.full((32, 64), 9, np.uint8), 2.0)})  # twice as high as wide: fills the square
    assert batch.batch(["a"]).tolist() == np.full((1, 64, 64), 9).tolist()
    assert batch.to_original("a", np.array([[8, 16, 24, 32]], np.float32)).tolist() == [[8, 8, 16, 8]]


def test_sizes_are_columns_and_rows():
    assert sizes({"a": (96, 128)}).loc["a"].to_dict() == {"columns": 96, "rows": 128}


def test_a_missing_model_is_named(models: Path):
    (models / "yolo" / "model.json").unlink()
    with pytest.raises(ValueError, match=r"no trained model at .*yolo; run `dvc repro`"):
        Ensemble(models, MODELS, predict=PREDICT, ensemble=ENSEMBLE)


def test_exported_models_answer_without_trained_ones(tmp_path: Path):
    write_bundles(tmp_path)
    grey = Study(np.full((64, 64), 51, np.uint8), 1.0)
    predict = {**PREDICT, **OPTIONS, "flip": True}
    black = Study(np.zeros((64, 64), np.uint8), 1.0)
    models = Ensemble(tmp_path, MODELS, predict=predict, ensemble=ENSEMBLE, runtime="onnx")
    detections, scores = models({"grey": grey, "black": black})
    # x 8..24 of 32 is its own mirror image. In 64 pixels: 16, 8, 32 wide, 24 high. Both models: 0.75; the gate: 51 / 255.
    assert detections[["study", "x", "y", "width", "height"]].to_numpy().tolist() == [["grey", 16, 8, 32, 24]]
    assert detections["score"].tolist() == pytest.approx([0.75 * 0.2])
    assert scores.to_dict() == pytest.approx({"grey": (0.2 + 0.75) / 2, "black": 0.0})
    # By two numbers a probability: twice the logit of (0.2 + 0.75) / 2 is that of 0.475^2 / (0.475^2 + 0.525^2).
    twice = Calibration(method="platt", slope=2.0)
    chance = Ensemble(tmp_path, MODELS, predict=predict, ensemble=ENSEMBLE, runtime="onnx", calibration=twice)
    boxes, scores = chance({"grey": grey, "black": black})
    assert scores.to_dict() == pytest.approx({"grey": 0.475**2 / (0.475**2 + 0.525**2), "black": 0.0}, abs=1e-6)
    assert boxes.equals(detections)
