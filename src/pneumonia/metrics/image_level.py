"""Study-level measures: does the study show an opacity, and how sure are we?

Every measure takes `weights`, `[N]` or `[B, N]`: how often each study counts, so that one call gives B bootstrap
resamples. A measure without its denominator (the sensitivity where nothing is positive) is NaN.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


def auc(scores: Array, targets: NDArray[np.int64], weights: Array | None = None) -> Array:
    """Area under the ROC curve, as the share of (positive, negative) pairs ranked right, ties half (Mann-Whitney).

    scores: float `[N]`. targets: 0 or 1, `[N]`. Returns a 0-d array, or `[B]` for weights `[B, N]`.
    """
    weight = _weights(weights, len(scores))
    positive, negative = np.flatnonzero(targets == 1), np.flatnonzero(targets != 1)
    negative = negative[np.argsort(scores[negative], kind="stable")]
    below = np.zeros((*weight.shape[:-1], len(negative) + 1))  # weight of the k lowest negatives
    np.cumsum(weight[..., negative], axis=-1, out=below[..., 1:])
    beaten = np.searchsorted(scores[negative], scores[positive], side="left")
    reached = np.searchsorted(scores[negative], scores[positive], side="right")
    own = weight[..., positive]
    won = (own * (below[..., beaten] + below[..., reached])).sum(-1) / 2
    return _ratio(won, own.sum(-1) * below[..., -1])


def rates(called: NDArray[np.bool_], targets: NDArray[np.int64], weights: Array | None = None) -> dict[str, Array]:
    """Sensitivity, specificity, precision (PPV), npv, f1 and accuracy of calls `[N]` against targets `[N]`."""
    truth = targets == 1
    cells = np.stack([called & truth, called & ~truth, ~called & truth, ~called & ~truth], -1)  # (N, 4)
    tp, fp, fn, tn = np.moveaxis(_weights(weights, len(targets)) @ cells.astype(np.float64), -1, 0)
    return {
        "sensitivity": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "precision": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
    }


def mean(values: Array, weights: Array | None = None) -> Array:
    """Mean of `values` `[N]`; studies with NaN are left out."""
    known = ~np.isnan(values)
    columns = np.stack([np.where(known, values, 0.0), known], -1)  # (N, 2)
    total, count = np.moveaxis(_weights(weights, len(values)) @ columns, -1, 0)
    return _ratio(total, count)


def roc_curve(scores: Array, targets: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """(false positive rate, sensitivity, threshold), each `[K + 1]`, over the K distinct scores falling."""
    thresholds, tp, fp = _cumulative(scores, targets)
    positives = int((targets == 1).sum())
    return (
        _ratio(np.r_[0.0, fp], np.asarray(len(targets) - positives, float)),
        _ratio(np.r_[0.0, tp], np.asarray(positives, float)),
        np.r_[np.inf, thresholds],
    )


def pr_curve(scores: Array, targets: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """(recall, precision, threshold), each `[K]`, over the K distinct scores falling."""
    thresholds, tp, fp = _cumulative(scores, targets)
    return _ratio(tp, np.asarray((targets == 1).sum(), float)), _ratio(tp, tp + fp), thresholds


def calibration(scores: Array, targets: NDArray[np.int64], bins: int = 10) -> pd.DataFrame:
    """Reliability in `bins` equal-width bins of the score: predicted (mean score), observed (share), studies."""
    place = np.clip((scores * bins).astype(int), 0, bins - 1)
    frame = pd.DataFrame({"bin": place, "predicted": scores, "observed": targets.astype(float), "studies": 1})
    result = frame.groupby("bin").agg({"predicted": "mean", "observed": "mean", "studies": "sum"})
    return result.reset_index(drop=True)


def calibration_error(scores: Array, targets: NDArray[np.int64], bins: int = 10) -> float:
    """Expected calibration error: mean over studies of |predicted - observed| of their bin (Guo et al. 2017, eq. 3)."""
    table = calibration(scores, targets, bins)
    return float(((table["predicted"] - table["observed"]).abs() * table["studies"]).sum() / max(len(scores), 1))


def _cumulative(scores: Array, targets: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    order = np.argsort(-scores, kind="stable")
    ordered, hit = scores[order], (targets[order] == 1).astype(np.float64)
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]) if len(ordered) else np.zeros(0, np.int64)
    tp = np.cumsum(hit)[last]
    return ordered[last], tp, last + 1 - tp


def _weights(weights: Array | None, count: int) -> Array:
    return np.ones(count) if weights is None else weights


def _ratio(top: Array, bottom: Array) -> Array:
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
