"""Resampling persons."""

from __future__ import annotations

import numpy as np
import pytest

from pneumonia.metrics.bootstrap import intervals, person_weights


def test_studies_of_a_person_come_and_go_together():
    weights = np.concatenate(list(person_weights(["p", "q", "p", "r"], 250, seed=1)))
    assert weights.shape == (250, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()  # three persons are drawn each time


def test_the_seed_decides():
    one, again, other = (np.concatenate(list(person_weights(list("abcdef"), 30, seed=s))) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_interval_of_a_share_is_the_binomial_one():
    # 400 independent studies, half of them 1: standard error 0.025, so 0.5 -+ 1.96 * 0.025.
    values = np.tile([0.0, 1.0], 200)
    persons = [str(i) for i in range(400)]
    low, high = intervals(lambda w: {"share": (w @ values) / w.sum(1)}, persons, 4000, seed=1)["share"]
    assert low == pytest.approx(0.451, abs=0.006)
    assert high == pytest.approx(0.549, abs=0.006)


def test_persons_with_many_studies_widen_the_interval():
    # 40 persons with ten equal studies each are 40 observations: sqrt(10) times as wide.
    values = np.repeat(np.tile([0.0, 1.0], 20), 10)
    persons = [str(i // 10) for i in range(400)]
    low, high = intervals(lambda w: {"share": (w @ values) / w.sum(1)}, persons, 4000, seed=1)["share"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 40), abs=0.03)


def test_resamples_without_an_answer_are_left_out():
    result = intervals(
        lambda w: {"some": np.where(w[:, 0] > 0, 1.0, np.nan), "none": np.full(len(w), np.nan)}, list("abc"), 50, 1
    )
    assert result["some"] == (1.0, 1.0)
    assert np.isnan(result["none"]).all()
    assert intervals(lambda w: {"some": w[:, 0]}, list("abc"), 0, 1) == {}
