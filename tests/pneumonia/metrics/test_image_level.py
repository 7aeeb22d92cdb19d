"""How a score ranks studies: hand-worked, and scikit-learn as the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumonia.metrics.image_level import auc


def test_auc_counts_pairs_and_halves_ties():
    # Positives 0.8, 0.4; negatives 0.4, 0.2. Pairs won: 1, 1, 1/2, 1 of 4.
    assert float(auc(np.array([0.8, 0.4, 0.4, 0.2]), np.array([1, 1, 0, 0]))) == 0.875


def test_auc_without_one_class_is_unknown():
    assert math.isnan(float(auc(np.array([0.1, 0.2]), np.array([1, 1]))))
    assert math.isnan(float(auc(np.array([0.1, 0.2]), np.array([0, 0]))))
    assert math.isnan(float(auc(np.zeros(0), np.zeros(0, int))))


def test_weights_repeat_studies():
    scores, targets = np.array([0.9, 0.6, 0.4, 0.1]), np.array([1, 0, 1, 0])
    # Twice 0.9 (positive), once 0.6 (negative), thrice 0.1 (negative): all 8 pairs are right. All once: 3 of 4.
    weights = np.array([[2.0, 1.0, 0.0, 3.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0]])
    values = auc(scores, targets, weights)
    assert values[:2].tolist() == [1.0, 0.75]
    assert math.isnan(values[2])  # no negative is drawn


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


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=40), st.randoms())
def test_only_the_ranks_matter_and_no_order_does(studies, random):
    scores, targets = (np.array(values) for values in zip(*studies, strict=True))
    value = float(auc(scores.astype(float), targets))
    shuffled = random.sample(range(len(studies)), len(studies))
    other = float(auc(np.exp(scores[shuffled] / 3), targets[shuffled]))  # exp is rising
    assert other == pytest.approx(value, nan_ok=True)
    turned = float(auc(-scores.astype(float), targets))
    assert turned == pytest.approx(1 - value, nan_ok=True)
