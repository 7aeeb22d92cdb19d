"""The two ways of averaging the losses of boxes, worked out by hand; against Matterport's: test_parity."""

import numpy as np
import pytest
from keras import ops

from mrcnn.parts import losses

# Four anchors of two images: of the first one positive, two negative, one not used; of the second negatives alone.
MATCH = np.array([[1, -1, 0, -1], [-1, -1, 0, 0]], np.int32)
WANTED = np.array([[[0.5, 2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]], np.float32)
DELTAS = np.zeros((2, 4, 4), np.float32)
# Smooth L1 of 0.5, 2, 0, 0: 0.125 + 1.5.
SUM = 1.625


@pytest.mark.parametrize(("per_sample", "value"), [(False, SUM / 4), (True, SUM / 5)])
def test_of_the_proposals(per_sample, value):
    """Their mean over the one positive's four deltas; their sum over the five anchors that are used."""
    assert float(losses.rpn_bbox_loss(WANTED, MATCH, DELTAS, per_sample)) == pytest.approx(value)


@pytest.mark.parametrize(("per_sample", "value"), [(False, SUM / 4), (True, SUM / 6)])
def test_of_the_regions(per_sample, value):
    """Over the one positive of class 1, or over all six regions of the two images."""
    class_ids = np.array([[0, 1, 0], [0, 0, 0]], np.int32)
    wanted = np.zeros((2, 3, 4), np.float32)
    wanted[0, 1] = WANTED[0, 0]
    predicted = np.zeros((2, 3, 2, 4), np.float32)
    predicted[:, :, 0] = 9.0  # of the background: looked at by nobody
    assert float(losses.mrcnn_bbox_loss(wanted, class_ids, predicted, per_sample)) == pytest.approx(value)


def test_a_positive_weighs_the_same_beside_any_number_of_others():
    """By sample, a batch's loss is the mean of its images' losses; by positive, an image with few is drowned."""
    rng = np.random.default_rng(5)
    match = np.where(rng.random((6, 40)) < np.array([[0.0, 0.02, 0.1, 0.2, 0.5, 0.9]]).T, 1, -1).astype(np.int32)
    wanted, deltas = rng.normal(size=(6, 40, 4)).astype("float32"), rng.normal(size=(6, 40, 4)).astype("float32")

    def loss(rows, per_sample):
        return float(losses.rpn_bbox_loss(wanted[rows], match[rows], deltas[rows], per_sample))

    alone = {per_sample: [loss([i], per_sample) for i in range(6)] for per_sample in (False, True)}
    assert loss(list(range(6)), True) == pytest.approx(np.mean(alone[True]), rel=1e-5)
    assert loss(list(range(6)), False) != pytest.approx(np.mean(alone[False]), rel=1e-2)


def test_nothing_sampled_is_no_loss():
    nothing = ops.zeros((1, 4), dtype="int32")
    assert float(losses.rpn_bbox_loss(WANTED[:1], nothing, DELTAS[:1], True)) == 0.0
