"""Corrections against numbers worked out by hand, and the way back."""

import numpy as np
from keras import ops

from efficientdet.coding import decode, encode

ANCHORS = np.array([[0, 0, 10, 20], [10, 10, 20, 20]], np.float32)


def test_a_correction_by_hand():
    boxes = np.array([[[5, 0, 25, 20], [10, 10, 20, 20]]], np.float32)
    # centre 15, 10 against 5, 10: one width to the right; twice as wide
    np.testing.assert_allclose(
        ops.convert_to_numpy(encode(boxes, ANCHORS)), [[[1, 0, np.log(2), 0], [0, 0, 0, 0]]], atol=1e-6
    )


def test_decode_is_the_inverse():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (3, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(1, 30, (3, 2, 2)).astype(np.float32)], axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(decode(encode(boxes, ANCHORS), ANCHORS)), boxes, atol=1e-4)


def test_what_an_untrained_head_may_say_stays_finite():
    wild = np.full((1, 2, 4), 1e4, np.float32)
    assert np.isfinite(ops.convert_to_numpy(decode(wild, ANCHORS))).all()
    assert np.isfinite(ops.convert_to_numpy(encode(np.zeros((1, 2, 4), np.float32), ANCHORS))).all()
