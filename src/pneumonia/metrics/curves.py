"""Curves of studies over every threshold: ROC, precision and recall; and how to draw one with few points."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.metrics.ratios import Array, ratio

POINTS = 200


def roc_curve(scores: Array, targets: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """(false positive rate, sensitivity, threshold), each `[K + 1]`, over the K distinct scores falling."""
    thresholds, tp, fp = _cumulative(scores, targets)
    positives = int((targets == 1).sum())
    return (
        ratio(np.r_[0.0, fp], np.asarray(len(targets) - positives, float)),
        ratio(np.r_[0.0, tp], np.asarray(positives, float)),
        np.r_[np.inf, thresholds],
    )


def pr_curve(scores: Array, targets: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """(recall, precision, threshold), each `[K]`, over the K distinct scores falling."""
    thresholds, tp, fp = _cumulative(scores, targets)
    return ratio(tp, np.asarray((targets == 1).sum(), float)), ratio(tp, tp + fp), thresholds


def thinned(**columns: Array) -> pd.DataFrame:
    """At most `POINTS` points, the ends among them, spread evenly along the curve's length.

    Arguments:
        columns: x and y (and what goes with them) by name, `[K]` each, in the order of the curve.
    """
    x, y, *_ = columns.values()
    along = np.r_[0.0, np.cumsum(np.hypot(np.diff(x / max(x.max(), 1e-9)), np.diff(y)))] if len(x) else x
    if len(along) > POINTS:
        wanted = np.linspace(0, along[-1], POINTS)
        keep = np.unique(np.clip(np.searchsorted(along, wanted), 0, len(along) - 1))
        columns = {name: values[keep] for name, values in columns.items()}
    return pd.DataFrame(columns)


def _cumulative(scores: Array, targets: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    order = np.argsort(-scores, kind="stable")
    ordered, hit = scores[order], (targets[order] == 1).astype(np.float64)
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]) if len(ordered) else np.zeros(0, np.int64)
    tp = np.cumsum(hit)[last]
    return ordered[last], tp, last + 1 - tp
