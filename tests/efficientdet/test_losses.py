"""Focal and Huber loss against a table worked out by hand."""

import math

import numpy as np
import pytest
from keras import ops

from efficientdet.coding import encode
from efficientdet.losses import focal, huber, losses
from efficientdet.targets import Targets

ANCHORS = np.array([[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10]], np.float32)


@pytest.mark.parametrize(
    ("probability", "wanted", "expected"),
    [
        (0.5, 1, 0.0612661),  # 0.25 * 0.5^1.5 (0.353553) * ln 2 (0.693147)
        (0.5, 0, 0.1837984),  # 0.75 of the same
        (0.9, 1, 0.00083296),  # 0.25 * 0.1^1.5 (0.031623) * 0.105361
        (0.9, 0, 1.474474),  # 0.75 * 0.9^1.5 (0.853815) * 2.302585
        (0.1, 1, 0.4914914),  # 0.25 * 0.853815 * 2.302585
        (0.01, 0, 7.537750e-6),  # 0.75 * 0.01^1.5 (0.001) * 0.010050
    ],
)
def test_focal_loss(probability: float, wanted: int, expected: float):
    logit = np.float32(math.log(probability / (1 - probability)))
    found = float(ops.convert_to_numpy(focal(logit, np.float32(wanted))))
    assert found == pytest.approx(expected, rel=2e-5, abs=1e-9)


def test_focal_loss_is_cross_entropy_without_focus_and_balance():
    logits, wanted = np.array([-2.0, 0.5, 3.0], np.float32), np.array([1, 0, 1], np.float32)
    expected = np.log1p(np.exp(logits)) - logits * wanted
    np.testing.assert_allclose(ops.convert_to_numpy(focal(logits, wanted, 0.5, 0.0)), expected / 2, rtol=1e-5)


def test_focal_loss_of_certain_logits_is_finite():
    found = ops.convert_to_numpy(focal(np.array([-200, 200], np.float32), np.array([1, 1], np.float32)))
    np.testing.assert_allclose(found, [0.25 * 200, 0], rtol=1e-5, atol=1e-6)


def test_huber():
    found = ops.convert_to_numpy(huber(np.array([0, 0.05, -0.1, 0.1, 1, -2], np.float32)))
    np.testing.assert_allclose(found, [0, 0.00125, 0.005, 0.005, 0.095, 0.195], rtol=1e-5)


def test_the_two_parts_of_a_batch():
    """Two images of three anchors: a positive and a negative one in the first, the third not asked; the second is empty."""
    boxes = np.tile(ANCHORS, (2, 1, 1))
    targets = Targets(
        positive=np.array([[True, False, False], [False] * 3]),
        negative=np.array([[False, True, False], [True] * 3]),
        boxes=boxes,
        classes=np.zeros((2, 3), np.int32),
    )
    corrections = ops.convert_to_numpy(encode(boxes, ANCHORS))
    corrections = corrections + np.float32(1)  # each of the four numbers is off by 1: 0.095
    found = losses(np.zeros((2, 3, 1), np.float32), corrections, ANCHORS, targets)
    # one positive, but two images: divided by 2; four anchors say "nothing"
    assert float(found["class_loss"]) == pytest.approx((0.0612661 + 4 * 0.1837984) / 2, rel=1e-4)
    assert float(found["box_loss"]) == pytest.approx(50 * 0.095 / 2, rel=1e-5)
