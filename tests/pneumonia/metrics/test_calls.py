"""Calls at one threshold: hand-worked, and scikit-learn as the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pneumonia.metrics.calls import rates

TARGETS = np.array([1, 1, 1, 1, 0, 0, 0])
CALLED = np.array([True, True, True, False, True, False, False])  # tp 3, fn 1, fp 1, tn 2


def test_rates():
    result = {name: float(value) for name, value in rates(CALLED, TARGETS).items()}
    assert result == {
        "sensitivity": 3 / 4,
        "specificity": pytest.approx(2 / 3),
        "precision": 3 / 4,
        "npv": pytest.approx(2 / 3),
        "f1": 3 / 4,  # 2 x 3 / (2 x 3 + 1 + 1)
    }


def test_nothing_called():
    nothing = rates(np.zeros(7, bool), TARGETS)
    assert math.isnan(float(nothing["precision"]))
    assert (float(nothing["sensitivity"]), float(nothing["specificity"]), float(nothing["f1"])) == (0.0, 1.0, 0.0)


def test_weights_repeat_studies():
    # The missed positive counts five times: 3 of 8; the false call never does.
    weights = np.array([[1.0, 1, 1, 5, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1]])
    result = rates(CALLED, TARGETS, weights)
    assert result["sensitivity"][0] == 3 / 8
    assert result["specificity"][0] == 1.0
    assert result["f1"][0] == pytest.approx(6 / 11)
    assert math.isnan(result["sensitivity"][1])


def test_equals_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    targets, called = rng.integers(0, 2, 400), rng.uniform(size=400) < 0.4
    result = rates(called, targets)
    assert float(result["f1"]) == pytest.approx(reference.f1_score(targets, called))
    assert float(result["precision"]) == pytest.approx(reference.precision_score(targets, called))
    assert float(result["sensitivity"]) == pytest.approx(reference.recall_score(targets, called))
