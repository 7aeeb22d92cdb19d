"""Decoding against boxes worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.yolov3.heads import APART

from yolov3.decode import decode

LN2 = math.log(2)


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
