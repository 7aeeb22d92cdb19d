"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.yolov3.heads import APART, NOTHING, assigned

from yolov3.decode import Predictions, decode
from yolov3.losses import complete_iou, losses
from yolov3.targets import assign

LN2 = math.log(2)


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


def test_smoothed_objectness():
    raw = np.zeros((1, 2, 2, 12), np.float32)
    raw[..., [4, 10]] = 1.0  # the objectness of both anchors
    predictions, where = decode([raw], APART, 64)
    targets = assigned([[35, 0, 45, 20]], predicted=np.zeros((1, 8, 4), np.float32))
    found = float(losses(predictions, where, targets, "ciou", 64, 0.5, label_smoothing=0.1)["objectness_loss"])
    # one positive, log(1 + e) - 0.9, and seven negatives of weight 0.5, log(1 + e) each
    assert found == pytest.approx(math.log(1 + math.e) * (1 + 3.5) - 0.9, abs=1e-5)


def test_numbers_that_overflow_do_not_reach_the_loss():
    raw = np.full((1, 2, 2, 12), 60.0, np.float32)
    predictions, where = decode([raw], APART, 64)
    targets = assigned([[35, 0, 45, 20]], predicted=predictions.boxes)
    parts = losses(predictions, where, targets, "ciou", 64, 1.0)
    assert all(math.isfinite(float(value)) for value in parts.values())


def test_an_unknown_loss():
    with pytest.raises(ValueError, match="loss must be one of ciou, darknet, got 'giou'"):
        losses(Predictions(NOTHING, np.zeros((1, 8, 6), np.float32)), None, assigned([[0, 0, 1, 1]]), "giou", 64, 1.0)
