"""How well a score ranks the studies. Training reads this module too: what only an evaluation needs stands elsewhere,
so that a change of it trains nothing again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Auc:
    """Area under the ROC curve of fixed scores, for any weights: the share of (positive, negative) pairs ranked right.

    Ties count half (Mann-Whitney).

    Arguments:
        scores: float `[N]`.
        targets: 0 or 1, `[N]`.
        members: bool `[N]`, the studies that count; all where it is left out.
    """

    def __init__(self, scores: Array, targets: NDArray[np.int64], members: NDArray[np.bool_] | None = None) -> None:
        counts = np.ones(len(scores), bool) if members is None else members
        self._positive = np.flatnonzero((targets == 1) & counts)
        negative = np.flatnonzero((targets != 1) & counts)
        self._negative = negative[np.argsort(scores[negative], kind="stable")]  # by rising score
        ranked = scores[self._negative]
        self._below = np.searchsorted(ranked, scores[self._positive], "left")  # negatives that a positive beats
        self._level = np.searchsorted(ranked, scores[self._positive], "right")  # those, and the ones it ties with

    def __call__(self, weights: Array) -> Array:
        """weights `[N]` or `[B, N]`, whole numbers -> 0-d array or `[B]`; NaN where a class is missing."""
        rows = np.atleast_2d(weights)
        positive, negative = (rows.take(at, axis=1).astype(np.int64) for at in (self._positive, self._negative))
        beaten = np.zeros((len(rows), len(self._negative) + 1), np.int64)
        np.cumsum(negative, axis=1, out=beaten[:, 1:])  # whole numbers: a quarter of the time of floats
        twice_won = (positive * (beaten.take(self._below, axis=1) + beaten.take(self._level, axis=1))).sum(axis=1)
        pairs = positive.sum(axis=1) * beaten[:, -1]
        result = np.divide(twice_won, 2 * pairs, out=np.full(len(rows), np.nan), where=pairs > 0)
        return result.reshape(weights.shape[:-1])


def auc(scores: Array, targets: NDArray[np.int64], weights: Array | None = None) -> Array:
    """`Auc` at once: a 0-d array, or `[B]` for weights `[B, N]`."""
    return Auc(scores, targets)(np.ones(len(scores)) if weights is None else weights)
