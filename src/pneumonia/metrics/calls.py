"""What calling studies at one threshold is worth: sensitivity, specificity, predictive values, F1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumonia.metrics.ratios import Array, Pair, Ratios


def call_pairs(called: NDArray[np.bool_], targets: NDArray[np.int64]) -> dict[str, Pair]:
    """Sensitivity, specificity, precision (PPV), npv and f1 of calls `[N]` against targets `[N]`, as pairs of sums."""
    truth = targets == 1
    tp, fp, fn, tn = (
        cell.astype(np.float64) for cell in (called & truth, called & ~truth, ~called & truth, ~called & ~truth)
    )
    return {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "precision": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }


def rates(called: NDArray[np.bool_], targets: NDArray[np.int64], weights: Array | None = None) -> dict[str, Array]:
    """The values of `call_pairs`: 0-d arrays, or `[B]` for weights `[B, N]`."""
    return Ratios(call_pairs(called, targets))(np.ones(len(targets)) if weights is None else weights)
