"""FROC: how many of the truth boxes are found, against how many false boxes a study carries (Bunch et al. 1978)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumonia.metrics.matching import BOX_IOU, BoxTable, ranked

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def froc(table: BoxTable, iou: float = BOX_IOU) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve over falling score thresholds.

    Returns:
        (false boxes a study `[K]`, sensitivity per truth box `[K]`), both non-decreasing, from (0, 0); one point for each
        distinct score. Sensitivity is NaN without truth boxes.
    """
    matches = ranked(table, iou)
    hits = np.cumsum(matches.true_positive)
    misses = np.arange(1, len(hits) + 1) - hits
    score = matches.score
    last = np.flatnonzero(np.r_[score[1:] != score[:-1], True]) if len(score) else np.zeros(0, np.int64)
    total = int(table.truths.sum())
    sensitivity = np.r_[0, hits[last]] / total if total else np.full(len(last) + 1, np.nan)
    return np.r_[0, misses[last]] / max(len(table.studies), 1), sensitivity
