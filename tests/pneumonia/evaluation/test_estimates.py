"""A measure, its interval, and their names."""

from __future__ import annotations

import numpy as np

from pneumonia.evaluation.estimates import Estimate, estimate


def mean(weights):
    return {"mean": weights @ np.array([0.0, 1.0, 1.0, 1.0]) / weights.sum(axis=1)}


def test_the_value_is_that_of_the_studies_as_they_are():
    own = estimate(mean, list("abcd"), resamples=200, seed=1)["mean"]
    assert own.value == 0.75
    assert 0 <= own.low < 0.75 < own.high <= 1
    # All studies of one person: every resample is the whole.
    assert estimate(mean, ["a"] * 4, resamples=20, seed=1)["mean"] == Estimate(0.75, 0.75, 0.75)


def test_without_resamples_there_is_no_interval():
    own = estimate(mean, list("abcd"), resamples=0, seed=1)["mean"]
    assert own.value == 0.75
    assert np.isnan([own.low, own.high]).all()


def test_names():
    assert Estimate(0.5, 0.25, 0.75).named("auc") == {"auc": 0.5, "auc_low": 0.25, "auc_high": 0.75}
