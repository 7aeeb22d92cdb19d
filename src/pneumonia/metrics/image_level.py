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
        negative = scores[~positive]
        above = np.searchsorted(levels, negative, "right")  # the first level that beats it
        tied = np.searchsorted(levels, negative, "left") < above
        self._ties = np.unique(above[tied] - 1)  # levels that a negative ties with
        # Bins: for each of the K levels the negatives between it and the level before; those no level beats; the
        # positives of each level; for each level with ties the negatives that tie with it.
        self._bin = np.empty(len(scores), np.int64)
        self._bin[positive] = len(levels) + 1 + place
        at_ties = 2 * len(levels) + 1 + np.searchsorted(self._ties, above - 1)
        self._bin[~positive] = np.where(tied, at_ties, above)

    def __call__(self, weights: Array) -> Array:
        """weights `[N]` or `[B, N]`, whole numbers -> 0-d array or `[B]`; NaN where a class is missing."""
        count = self._levels
        bins = 2 * count + 1 + len(self._ties)
        sums = np.array([np.bincount(self._bin, row, bins) for row in np.atleast_2d(weights)], np.float64)
        negative, positive, tied = np.split(sums, [count + 1, 2 * count + 1], axis=1)
        negative[:, self._ties + 1] += tied  # any higher level beats those too
        beaten = negative.astype(np.int64).cumsum(axis=1)  # whole numbers: a quarter of the time of floats
        won = np.einsum("bk,bk->b", positive, beaten[:, :-1])
        won += np.einsum("bk,bk->b", positive[:, self._ties], tied) / 2
        pairs = positive.sum(axis=1) * beaten[:, -1]
        result = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
        return result.reshape(weights.shape[:-1])


def auc(scores: Array, targets: NDArray[np.int64], weights: Array | None = None) -> Array:
    """`Auc` at once: a 0-d array, or `[B]` for weights `[B, N]`."""
    return Auc(scores, targets)(np.ones(len(scores)) if weights is None else weights)
