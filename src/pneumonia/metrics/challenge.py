"""The RSNA Pneumonia Detection Challenge's metric, and the score threshold that makes most of it.

A study's score is the mean over the IoU thresholds 0.40, 0.45 ... 0.75 of TP / (TP + FP + FN), its detections matched
in order of confidence. A study with neither truth nor detection is left out; one with detections but no truth scores 0;
the metric is the mean over the rest (the challenge's evaluation page, Kaggle 2018). An overlap must exceed the
threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pneumonia.metrics.matching import BoxTable, found

IOUS = (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75)


def study_scores(table: BoxTable, threshold: float | NDArray[np.float64] = 0.0) -> NDArray[np.float64]:
    """Each study's score with the detections of at least `threshold`: float64 `[N]`, NaN where it is left out.

    Arguments:
        threshold: one for all studies, or one a study, `[N]`.
    """
    return study_scores_at(table, [threshold])[0]


def study_scores_at(table: BoxTable, thresholds: Sequence[float | NDArray[np.float64]]) -> NDArray[np.float64]:
    """`study_scores` at each of T thresholds, matched once: float64 `[T, N]`."""
    prefix = _prefix_scores(table)
    result = np.tile(np.where(table.truths > 0, 0.0, np.nan), (len(thresholds), 1))
    for row, threshold in zip(result, thresholds, strict=True):
        # Detections are sorted by score within a study, so those above the threshold are its first ones.
        last = table.rank == table.count(threshold)[table.study] - 1
        row[table.study[last]] = prefix[last]
    return result


def sweep(table: BoxTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The metric at every threshold that changes it.

    Returns:
        (thresholds `[K]` falling, values `[K]`): the distinct scores of the detections, and the metric when the
        detections scoring at least that much are kept. Empty where there is no detection.
    """
    prefix = _prefix_scores(table)
    first = table.rank == 0
    before = np.where(first, 0.0, np.r_[0.0, prefix[:-1]]) if len(prefix) else prefix
    order = np.argsort(-table.score, kind="stable")
    total = np.cumsum((prefix - before)[order])
    spoiled = np.cumsum((first & (table.truths[table.study] == 0))[order])  # studies without truth that now count
    counted = spoiled + int((table.truths > 0).sum())
    score = table.score[order]
    last = np.flatnonzero(np.r_[score[1:] != score[:-1], True]) if len(score) else np.zeros(0, np.int64)
    return score[last], total[last] / counted[last]


def best_threshold(table: BoxTable) -> tuple[float, float]:
    """(threshold, value) of the largest metric; of equal ones the highest threshold. (0.5, NaN) without detections."""
    thresholds, values = sweep(table)
    if not len(values):
        return 0.5, float("nan")
    # Sums in another order differ in the last bits: without rounding a tie would be broken by noise.
    best = int(np.argmax(values.round(12)))
    return float(thresholds[best]), float(values[best])


def _prefix_scores(table: BoxTable) -> NDArray[np.float64]:
    """float64 `[D]`: the score of each detection's study if that detection were its last; 0 without truth."""
    hits = found(table, IOUS, strict=True)
    running = np.cumsum(hits, axis=1)
    starts = np.flatnonzero(table.rank == 0)
    sizes = np.diff(np.r_[starts, len(table.score)])
    offset = np.repeat((running - hits)[:, starts], sizes, axis=1) if len(starts) else running
    tp: NDArray[np.int64] = running - offset  # (8, D) true positives among the study's detections so far
    result: NDArray[np.float64] = (tp / (table.rank + 1 + table.truths[table.study] - tp)).mean(axis=0)
    return result
