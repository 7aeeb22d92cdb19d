"""Targets of states and the masked loss, worked out by hand."""

import numpy as np
import pytest

from pneumonia.models.pretraining.targets import Targets, learnable, masked_loss

NAN = float("nan")
STATES = np.array([[1.0, 0.0, -1.0, NAN]])


@pytest.mark.parametrize(
    ("uncertain", "unmentioned", "wanted"),
    [
        ("masked", "masked", [1, 0, -1, -1]),
        ("zeros", "zeros", [1, 0, 0, 0]),
        ("ones", "masked", [1, 0, 1, -1]),
        ("smoothed", "zeros", [1, 0, 0.6, 0]),
    ],
)
def test_what_is_not_known_becomes_what_is_asked_for(uncertain: str, unmentioned: str, wanted: list[float]):
    targets = Targets(uncertain, 0.6, unmentioned, 0.0).of(STATES)
    np.testing.assert_allclose(targets, [wanted], rtol=1e-6)


@pytest.mark.parametrize(("power", "wanted"), [(0.0, [1, 1, 1]), (0.5, [2, 1, 1]), (1.0, [4, 1, 1])])
def test_a_rare_finding_weighs_more(power: float, wanted: list[float]):
    # One positive to four negatives; one to one, the others masked; none at all.
    targets = np.array([[1, 1, 0], [0, 0, 0], [0, -1, 0], [0, -1, 0], [0, -1, 0]], np.float32)
    assert Targets("masked", 0.6, "masked", power).weights(targets).tolist() == wanted


def test_learnable_needs_one_of_each():
    assert learnable(np.array([[1, 1, 0, -1], [0, 1, NAN, 0]])).tolist() == [True, False, False, False]


def test_the_loss_worked_out_by_hand():
    pytest.importorskip("keras")
    loss = masked_loss(np.array([3.0, 1.0], np.float32))
    targets = np.array([[1, 0], [0, -1], [-1, -1], [1, 0.5]], np.float32)
    logits = np.array([[0, 0], [0, 5], [9, -9], [np.log(3), 0]], np.float32)
    ln2, ln43 = np.log(2), np.log(4 / 3)  # softplus(-log 3) = log(1 + 1/3)
    wanted = [(3 * ln2 + ln2) / 2, ln2 / 2, 0, (3 * ln43 + ln2) / 2]
    np.testing.assert_allclose(np.asarray(loss(targets, logits)), wanted, rtol=1e-5)
