"""Decoding, assignment and losses against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from yolov3.cfg import Convolutional, Description, Yolo
from yolov3.decode import Predictions, decode, places
from yolov3.losses import complete_iou, losses
from yolov3.targets import assign

LN2 = math.log(2)


def described(*anchors: tuple[float, float]) -> Description:
    """One head of two anchors and one class; at 64 pixels and 2 x 2 cells the stride is 32."""
    return Description(64, 64, 3, (Convolutional(12, 1), Yolo((0, 1), anchors, 1)))


APART = described((10, 20), (30, 40))
ALIKE = described((10, 20), (12, 20))
NOTHING = np.zeros((1, 8, 4), np.float32)  # predictions that overlap nothing


def assigned(truths, description=APART, predicted=NOTHING, ignore=0.5, also_above=1.0):
    where = places(description, [(2, 2)], [32.0])
    truths = np.asarray([truths], np.float32)
    return assign(truths, np.zeros(truths.shape[:2], np.int32), predicted, where, ignore, also_above)


def test_decode():
    raw = np.zeros((1, 2, 2, 12), np.float32)
    raw[0, 1, 0, 6:12] = [0, math.log(3), LN2, 0, 1.5, -2]  # row 1, column 0, second anchor
    predictions, _ = decode([raw], APART, 64)
    boxes = np.asarray(predictions.boxes)[0]
    # sigmoid(ln 3) = 0.75: centre (0.5 * 32, 1.75 * 32) = (16, 56), sides (2 * 30, 40); place (1 * 2 + 0) * 2 + 1
    np.testing.assert_allclose(boxes[5], [-14, 36, 46, 76], atol=1e-4)
    np.testing.assert_allclose(boxes[0], [11, 6, 21, 26], atol=1e-5)  # (16, 16), 10 x 20
    np.testing.assert_allclose(boxes[7], [33, 28, 63, 68], atol=1e-5)  # (48, 48), 30 x 40
    assert np.asarray(predictions.objectness)[0].tolist() == [0, 0, 0, 0, 0, 1.5, 0, 0]
    assert np.asarray(predictions.classes)[0, 5].tolist() == [-2]


def test_decode_refuses_other_heads():
    with pytest.raises(ValueError, match="1 heads, got 0"):
        decode([], APART, 64)
    with pytest.raises(ValueError, match=r"2 \* 6 channels, got shape \(1, 2, 2, 14\)"):
        decode([np.zeros((1, 2, 2, 14), np.float32)], APART, 64)


def test_the_most_similar_anchor_answers_in_the_cell_of_the_centre():
    # 10 x 20 at (40, 10): column 1, row 0, first anchor: place (0 * 2 + 1) * 2; the zeros are padding
    targets = assigned([[35, 0, 45, 20], [0, 0, 0, 0]])
    assert np.flatnonzero(np.asarray(targets.positive)[0]).tolist() == [2]
    assert np.asarray(targets.boxes)[0, 2].tolist() == [35, 0, 45, 20]
    # 24 x 32 at (32, 32): on the line, so the right, lower cell; 768 / 1200 = 0.64 of the second anchor
    targets = assigned([[20, 16, 44, 48]])
    assert np.flatnonzero(np.asarray(targets.positive)[0]).tolist() == [7]


def test_similar_anchors_answer_too():
    # IoU of 10 x 20 with 12 x 20 is 200 / 240 = 0.83
    box = [[11, 6, 21, 26]]
    assert np.flatnonzero(np.asarray(assigned(box, ALIKE).positive)[0]).tolist() == [0]
    assert np.flatnonzero(np.asarray(assigned(box, ALIKE, also_above=0.5).positive)[0]).tolist() == [0, 1]
    assert np.flatnonzero(np.asarray(assigned(box, ALIKE, also_above=0.84).positive)[0]).tolist() == [0]


def test_two_boxes_in_one_cell_both_find_a_place():
    # 10 x 20 and 11 x 20 (0.909 of the first anchor, 0.917 of the second): each claims the other's best anchor too
    targets = assigned([[12, 6, 23, 26], [11, 6, 21, 26]], ALIKE, also_above=0.5)
    assert np.flatnonzero(np.asarray(targets.positive)[0]).tolist() == [0, 1]
    assert np.asarray(targets.boxes)[0, 0].tolist() == [11, 6, 21, 26]
    assert np.asarray(targets.boxes)[0, 1].tolist() == [12, 6, 23, 26]


def test_good_predictions_elsewhere_are_ignored():
    predicted = NOTHING.copy()
    predicted[0, 2] = predicted[0, 3] = [35, 0, 45, 20]  # the place that answers, and another that is as good
    predicted[0, 6] = [35, 5, 45, 25]  # IoU 150 / 250 = 0.6
    targets = assigned([[35, 0, 45, 20]], predicted=predicted)
    assert np.flatnonzero(np.asarray(targets.ignored)[0]).tolist() == [3, 6]
    targets = assigned([[35, 0, 45, 20]], predicted=predicted, ignore=0.7)
    assert np.flatnonzero(np.asarray(targets.ignored)[0]).tolist() == [3]


def test_complete_iou():
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 1], [0, 0, 1, 1]], np.float32)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [0, 0, 1, 2], [3, 3, 4, 4]], np.float32)
    # 1; 2/6 - 1/13; 1/3 - 0.5/8 - alpha v with v = 4/pi^2 (atan 2 - atan 1/2)^2 = 0.167826 and alpha = v / (2/3 + v);
    # 0 - 18/32
    np.testing.assert_allclose(np.asarray(complete_iou(a, b)), [1, 0.256410, 0.237082, -0.5625], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "truth", "box_loss"),
    [
        # predicted (43, 6, 53, 26): IoU 28 / 372, distance 100 / 1000: 2 * (1 - 0.075269 + 0.1)
        ("ciou", [35, 0, 45, 20], 2.049462),
        # weight 2 - 200 / 4096; both centre logits 0: 2 ln 2
        ("darknet", [35, 0, 45, 20], (2 - 200 / 4096) * 2 * LN2),
        # 20 x 20, still the first anchor (0.5 against 0.33): its width is off by ln 2
        ("darknet", [30, 0, 50, 20], (2 - 400 / 4096) * (2 * LN2 + LN2**2 / 2)),
    ],
)
def test_losses(kind: str, truth: list[float], box_loss: float):
    raw = np.zeros((2, 2, 2, 12), np.float32)
    predictions, where = decode([raw], APART, 64)
    truths = np.zeros((2, 1, 4), np.float32)
    truths[0, 0] = truth  # the second image holds nothing
    predicted = np.zeros((2, 8, 4), np.float32)
    predicted[0, 7] = truth  # ignored
    targets = assign(truths, np.zeros((2, 1), np.int32), predicted, where, 0.5)
    parts = {name: float(value) for name, value in losses(predictions, where, targets, kind, 64, 0.5).items()}
    assert parts["box_loss"] == pytest.approx(box_loss / 2, abs=1e-5)
    # one positive, 6 + 8 negatives of weight 0.5, each at a logit of 0; over two images
    assert parts["objectness_loss"] == pytest.approx(LN2 * (1 + 0.5 * 14) / 2, abs=1e-5)
    assert parts["class_loss"] == pytest.approx(LN2 / 2, abs=1e-5)


def test_numbers_that_overflow_do_not_reach_the_loss():
    raw = np.full((1, 2, 2, 12), 60.0, np.float32)
    predictions, where = decode([raw], APART, 64)
    targets = assigned([[35, 0, 45, 20]], predicted=predictions.boxes)
    parts = losses(predictions, where, targets, "ciou", 64, 1.0)
    assert all(math.isfinite(float(value)) for value in parts.values())


def test_an_unknown_loss():
    with pytest.raises(ValueError, match="loss must be one of ciou, darknet, got 'giou'"):
        losses(Predictions(NOTHING, np.zeros((1, 8, 6), np.float32)), None, assigned([[0, 0, 1, 1]]), "giou", 64, 1.0)
