"""ROC, precision and recall over every threshold, and the points kept of a curve."""

from __future__ import annotations

import numpy as np
import pytest

from pneumonia.metrics.curves import POINTS, pr_curve, roc_curve, thinned


def test_curves():
    scores, targets = np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 0, 1, 0])
    false_positive_rate, sensitivity, thresholds = roc_curve(scores, targets)
    assert false_positive_rate.tolist() == [0, 0, 0.5, 1]
    assert sensitivity.tolist() == [0, 0.5, 1, 1]
    assert thresholds[1:].tolist() == [0.9, 0.5, 0.1]
    recall, precision, thresholds = pr_curve(scores, targets)
    assert recall.tolist() == [0.5, 1, 1]
    assert precision.tolist() == pytest.approx([1, 2 / 3, 0.5])
    assert thresholds.tolist() == [0.9, 0.5, 0.1]


def test_equal_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 400)
    scores = rng.normal(targets, 1.5).round(1)
    false_positive_rate, sensitivity, _ = roc_curve(scores, targets)
    expected = reference.roc_curve(targets, scores, drop_intermediate=False)
    np.testing.assert_allclose(false_positive_rate, expected[0])
    np.testing.assert_allclose(sensitivity, expected[1])
    assert (np.diff(false_positive_rate) >= 0).all()
    assert (np.diff(sensitivity) >= 0).all()


def test_thinning_keeps_the_ends_and_the_shape():
    x = np.linspace(0, 1, 5001)
    points = thinned(x=x, y=x**2)
    assert len(points) <= POINTS
    assert points.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    # The curve is 1.479 long, so neighbours are 1.479 / 199 apart, at most one step of the original more.
    assert np.hypot(*np.diff(points.to_numpy(), axis=0).T).max() < 1.479 / 199 + 0.0005


def test_short_curves_stay_whole():
    assert thinned(x=np.array([0.0, 0.0, 1.0]), y=np.array([0.0, 1.0, 1.0])).to_numpy().tolist() == [
        [0, 0], [0, 1], [1, 1]
    ]  # fmt: skip
    assert thinned(x=np.zeros(0), y=np.zeros(0)).empty
