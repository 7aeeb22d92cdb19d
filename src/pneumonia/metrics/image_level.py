"""How well a score ranks the studies. Training reads this module too: what only an evaluation needs stands elsewhere,
so that a change of it trains nothing again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Auc:
    """Area under the ROC curve of fixed scores, for any weights: the share of (positive, negative) pairs ranked right.

    Ties count half (Mann-Whitney). scores: float `[N]`. targets: 0 or 1, `[N]`.
    """

    def __init__(self, scores: Array, targets: NDArray[np.int64]) -> None:
        positive = targets == 1
        levels, place = np.unique(scores[positive], return_inverse=True)
        self._levels = len(levels)
        # Bins 0 to 2 K: a negative between levels k - 1 and k is in 2 k, one that ties with level k in 2 k + 1.
        # Then one bin for the positives of each level. One count a weighting then holds all that is needed.
        self._bin = np.empty(len(scores), np.int64)
        negative = scores[~positive]
        self._bin[~positive] = np.searchsorted(levels, negative, "left") + np.searchsorted(levels, negative, "right")
        self._bin[positive] = 2 * len(levels) + 1 + place

    def __call__(self, weights: Array) -> Array:
        """weights `[N]` or `[B, N]`, how often each study counts -> 0-d array or `[B]`; NaN where a class is missing."""
        if weights.ndim == 1:
            return np.asarray(self._one(weights))
        return np.array([self._one(row) for row in weights])

    def _one(self, weights: Array) -> float:
        count = 2 * self._levels + 1
        sums = np.bincount(self._bin, weights, minlength=count + self._levels)
        negative, positive = np.cumsum(sums[:count]), sums[count:]
        pairs = positive.sum() * negative[-1]
        # Level k beats all of bins 0 to 2 k, and half of bin 2 k + 1: the mean of the sums up to either.
        won = positive @ (negative[:-1:2] + negative[1::2]) / 2
        return float(won / pairs) if pairs > 0 else float("nan")


def auc(scores: Array, targets: NDArray[np.int64], weights: Array | None = None) -> Array:
    """`Auc` at once: a 0-d array, or `[B]` for weights `[B, N]`."""
    return Auc(scores, targets)(np.ones(len(scores)) if weights is None else weights)
