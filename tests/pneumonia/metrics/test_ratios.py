"""Ratios of sums under weights."""

from __future__ import annotations

import math

import numpy as np

from pneumonia.metrics.ratios import Ratios, mean_pair

PAIRS = {"share": (np.array([1.0, 0.0, 2.0]), np.array([1.0, 1.0, 4.0])), "never": (np.zeros(3), np.zeros(3))}


def test_a_weight_is_how_often_a_study_counts():
    result = Ratios(PAIRS)(np.array([[1.0, 1, 1], [3, 0, 1], [0, 0, 0]]))
    assert result["share"][:2].tolist() == [3 / 6, 5 / 7]
    assert math.isnan(result["share"][2])
    assert np.isnan(result["never"]).all()


def test_one_weighting_gives_numbers():
    assert float(Ratios(PAIRS)(np.ones(3))["share"]) == 0.5
    assert Ratios({})(np.ones(3)) == {}


def test_a_mean_leaves_unknown_values_out():
    pairs = {"mean": mean_pair(np.array([1.0, np.nan, 3.0]))}
    assert Ratios(pairs)(np.array([[1.0, 1, 1], [3, 9, 1]]))["mean"].tolist() == [2.0, 1.5]
