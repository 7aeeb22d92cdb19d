"""What counts as the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from pneumonia.export.parity import compare, matched

OPTIONS = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 3}
BOX = [10.0, 20.0, 30.0, 40.0]


def rows(*found: list[float]) -> np.ndarray:
    return np.array(found, np.float32).reshape(-1, 5)


class Detector:
    def __init__(self, *answers: np.ndarray) -> None:
        self.answers = list(answers)

    def detect(self, images: np.ndarray, **options: float) -> list[np.ndarray]:
        return self.answers


class Classifier:
    def __init__(self, score: float, value: float) -> None:
        self.score, self.value = score, value

    def predict(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([self.score]), np.array([[[4.0, self.value]]])


def test_the_largest_difference_is_told():
    one = Detector(rows([*BOX, 0.9]), rows([*BOX, 0.5]))
    two = Detector(rows([10.0625, 20, 30, 40, 0.9]), rows([*BOX, 0.50005]))
    found = compare("yolo", one, two, np.zeros((2, 64, 64), np.uint8), OPTIONS)
    assert found["boxes"] == 0.0625
    assert found["scores"] == pytest.approx(5e-5, abs=1e-7)


@pytest.mark.parametrize(
    "other",
    [
        rows([10.2, 20, 30, 40, 0.9]),  # a box that lies 0.2 pixels away
        rows([*BOX, 0.9002]),
        rows(),
        rows([*BOX, 0.9], [*BOX, 0.5]),
        rows([np.nan, 20, 30, 40, 0.9]),
    ],
)
def test_a_detection_without_a_counterpart_is_refused(other: np.ndarray):
    with pytest.raises(
        ValueError, match=r"yolo: the exported model does not say .* detections of both have no counterpart"
    ):
        compare("yolo", Detector(rows([*BOX, 0.9])), Detector(other), np.zeros((1, 64, 64), np.uint8), OPTIONS)


def test_order_of_equal_scores_and_the_edge_of_the_floor_do_not_matter():
    far = [50.0, 50.0, 60.0, 60.0]
    assert matched(rows([*BOX, 0.5], [*far, 0.5]), rows([*far, 0.50001], [*BOX, 0.5]), 0.01, 3)[0] == 0
    assert matched(rows([*BOX, 0.5], [*far, 0.01005]), rows([*BOX, 0.5]), 0.01, 3)[0] == 0
    assert matched(rows([*BOX, 0.5], [*far, 0.0102]), rows([*BOX, 0.5]), 0.01, 3)[0] == 1
    # Of two with room for one more, either may be the last.
    assert matched(rows([*BOX, 0.5], [*far, 0.4]), rows([*BOX, 0.5], [0, 0, 5, 5, 0.40005]), 0.01, 2)[0] == 0


def test_a_classifier():
    images = np.zeros((1, 32, 32), np.uint8)
    assert compare("classifier", Classifier(0.5, 1.0), Classifier(0.5, 1.002), images, {})["map"] == pytest.approx(5e-4)
    for other, words in ((Classifier(0.5002, 1.0), "scores differ by 0.0002"), (Classifier(0.5, 1.1), "map differ by")):
        with pytest.raises(ValueError, match=words):
            compare("classifier", Classifier(0.5, 1.0), other, images, {})
    with pytest.raises(ValueError, match="scores differ by nan"):
        compare("classifier", Classifier(0.5, 1.0), Classifier(np.nan, 1.0), images, {})


def test_one_box_in_a_hundred_may_be_suppressed_in_one_answer_alone():
    boxes = [[10.0 * k, 0.0, 10.0 * k + 5, 5.0, 0.9 - 0.01 * k] for k in range(40)]
    options, image = {**OPTIONS, "max_detections": 60}, np.zeros((1, 64, 64), np.uint8)
    found = compare("yolo", Detector(rows(*boxes)), Detector(rows(*boxes[:20], *boxes[21:])), image, options)
    assert found == {"scores": 0.0, "boxes": 0.0, "alone": 1 / 79}
    with pytest.raises(ValueError, match="3 of 77 detections of both have no counterpart"):
        compare("yolo", Detector(rows(*boxes)), Detector(rows(*boxes[3:])), image, options)
