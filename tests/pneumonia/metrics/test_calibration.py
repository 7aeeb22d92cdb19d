"""Reliability and its error, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pneumonia.metrics.calibration import bin_of, calibration, calibration_error

SCORES, TARGETS = np.array([0.12, 0.18, 0.91, 1.0]), np.array([0, 1, 1, 1])


def test_bins_take_their_lower_end():
    assert bin_of(np.array([0.0, 0.099999, 0.1, 0.3, 0.6, 0.7, 0.999999, 1.0])).tolist() == [0, 0, 1, 3, 6, 7, 9, 9]


def test_reliability():
    table = calibration(SCORES, TARGETS)
    assert table["bin"].tolist() == [1, 9]
    assert table["predicted"].tolist() == pytest.approx([0.15, 0.955])
    assert table["observed"].tolist() == [0.5, 1.0]
    assert table["studies"].tolist() == [2, 2]


def test_error():
    # Half of the studies are off by 0.35, half by 0.045.
    assert float(calibration_error(SCORES, TARGETS)) == pytest.approx(0.1975)
    # The second study alone, three times: off by 0.82.
    assert calibration_error(SCORES, TARGETS, np.array([[0.0, 3, 0, 0], [1, 1, 1, 1]])).tolist() == pytest.approx(
        [0.82, 0.1975]
    )


def test_perfect_and_empty():
    assert float(calibration_error(np.array([0.0, 1.0]), np.array([0, 1]))) == 0.0
    assert math.isnan(float(calibration_error(np.zeros(0), np.zeros(0, int))))
    assert calibration(np.zeros(0), np.zeros(0, int)).empty


def test_errors_of_one_bin_cancel_but_not_of_two():
    # 0.5 twice with one positive is calibrated; the same two a bin apart are not.
    assert float(calibration_error(np.array([0.5, 0.5]), np.array([0, 1]))) == 0.0
    assert float(calibration_error(np.array([0.45, 0.55]), np.array([0, 1]))) == pytest.approx(0.45)
