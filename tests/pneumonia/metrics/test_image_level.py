"""Study-level measures: hand-worked, and scikit-learn as the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pneumonia.metrics.image_level import auc, calibration, calibration_error, mean, pr_curve, rates, roc_curve


def test_auc_counts_pairs_and_halves_ties():
    # Positives 0.8, 0.4; negatives 0.4, 0.2. Pairs won: 1, 1, 1/2, 1 of 4.
    assert float(auc(np.array([0.8, 0.4, 0.4, 0.2]), np.array([1, 1, 0, 0]))) == 0.875


def test_auc_without_one_class_is_unknown():
    assert math.isnan(float(auc(np.array([0.1, 0.2]), np.array([1, 1]))))
    assert math.isnan(float(auc(np.array([0.1, 0.2]), np.array([0, 0]))))


def test_rates():
    called = np.array([True, True, False, True, False, False])
    targets = np.array([1, 1, 1, 0, 0, 0])
    result = rates(called, targets)  # tp 2, fn 1, fp 1, tn 2
    assert {name: float(value) for name, value in result.items()} == {
        "sensitivity": pytest.approx(2 / 3),
        "specificity": pytest.approx(2 / 3),
        "precision": pytest.approx(2 / 3),
        "npv": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "accuracy": pytest.approx(2 / 3),
    }
    nothing = rates(np.zeros(6, bool), targets)
    assert math.isnan(float(nothing["precision"]))
    assert float(nothing["sensitivity"]) == 0.0


def test_weights_repeat_studies():
    scores, targets = np.array([0.9, 0.6, 0.4, 0.1]), np.array([1, 0, 1, 0])
    weights = np.array([[2.0, 1.0, 0.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
    repeated = np.repeat(np.arange(4), [2, 1, 0, 3])
    assert auc(scores, targets, weights).tolist() == pytest.approx(
        [float(auc(scores[repeated], targets[repeated])), 0.75]
    )
    expected = rates(scores[repeated] > 0.5, targets[repeated])
    result = rates(scores > 0.5, targets, weights)
    assert all(result[name][0] == pytest.approx(float(expected[name])) for name in expected)


def test_mean_leaves_unknown_values_out():
    assert float(mean(np.array([1.0, np.nan, 3.0]))) == 2.0
    assert mean(np.array([1.0, np.nan, 3.0]), np.array([[3.0, 9.0, 1.0]])).tolist() == [1.5]


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


def test_calibration():
    scores, targets = np.array([0.1, 0.3, 0.9, 1.0]), np.array([0, 1, 1, 1])
    table = calibration(scores, targets, bins=2)
    assert table["predicted"].tolist() == pytest.approx([0.2, 0.95])
    assert table["observed"].tolist() == [0.5, 1.0]
    # Half of the studies are off by 0.3, half by 0.05.
    assert calibration_error(scores, targets, bins=2) == pytest.approx(0.175)


@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn(seed):
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, 400)
    scores = (rng.normal(targets, 1.5)).round(1)  # many ties
    weights = rng.integers(0, 4, 400).astype(float)
    assert float(auc(scores, targets)) == pytest.approx(reference.roc_auc_score(targets, scores))
    assert auc(scores, targets, weights[None])[0] == pytest.approx(
        reference.roc_auc_score(targets, scores, sample_weight=weights)
    )
    false_positive_rate, sensitivity, _ = roc_curve(scores, targets)
    expected = reference.roc_curve(targets, scores, drop_intermediate=False)
    np.testing.assert_allclose(false_positive_rate, expected[0])
    np.testing.assert_allclose(sensitivity, expected[1])
    called = scores >= 0.5
    result = rates(called, targets)
    assert float(result["f1"]) == pytest.approx(reference.f1_score(targets, called))
    assert float(result["precision"]) == pytest.approx(reference.precision_score(targets, called))
