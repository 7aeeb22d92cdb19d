"""Operating points on hand-worked scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumonia.metrics.calls import rates
from pneumonia.metrics.operating_point import choose

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.2])
TARGETS = np.array([1, 1, 0, 1, 0, 0])


def test_threshold_is_itself():
    assert choose(SCORES, TARGETS, "threshold", 0.33) == 0.33


def test_best_f1():
    # From the top: 2/4, 4/5, 4/6, 6/7, 6/8, 6/9.
    assert choose(SCORES, TARGETS, "best_f1") == 0.6


def test_min_sensitivity_takes_the_highest_threshold():
    assert choose(SCORES, TARGETS, "min_sensitivity", 0.6) == 0.8
    assert choose(SCORES, TARGETS, "min_sensitivity", 0.67) == 0.6
    assert choose(SCORES, TARGETS, "min_sensitivity", 1.0) == 0.6


def test_max_false_positive_rate_takes_the_lowest_threshold():
    assert choose(SCORES, TARGETS, "max_false_positive_rate", 0.1) == 0.8
    assert choose(SCORES, TARGETS, "max_false_positive_rate", 0.34) == 0.6
    assert choose(SCORES, TARGETS, "max_false_positive_rate", 1.0) == 0.2


def test_calling_nothing_is_a_finite_threshold():
    assert choose(SCORES, 1 - TARGETS, "max_false_positive_rate", 0.0) == pytest.approx(0.900001)


def test_errors():
    with pytest.raises(
        ValueError, match="one of threshold, best_f1, min_sensitivity, max_false_positive_rate, got 'f2'"
    ):
        choose(SCORES, TARGETS, "f2")
    with pytest.raises(ValueError, match="needs a positive validation study, got none in 6"):
        choose(SCORES, np.zeros(6, int), "best_f1")
    with pytest.raises(ValueError, match="needs a negative validation study"):
        choose(SCORES, np.ones(6, int), "max_false_positive_rate", 0.1)


@given(seed=st.integers(0, 1000), value=st.floats(0.01, 1))
def test_what_was_wanted_is_reached(seed, value):
    rng = np.random.default_rng(seed)
    targets = np.r_[0, 1, rng.integers(0, 2, 30)]
    scores = rng.uniform(0, 1, 32).round(1)
    least = choose(scores, targets, "min_sensitivity", value)
    assert float(rates(scores >= least, targets)["sensitivity"]) >= value - 1e-9
    most = choose(scores, targets, "max_false_positive_rate", value)
    assert 1 - float(rates(scores >= most, targets)["specificity"]) <= value + 1e-9
