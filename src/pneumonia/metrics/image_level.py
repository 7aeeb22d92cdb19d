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
        # Bin k < K: the negatives below level k of the positives but not below level k - 1; bin K + k: those that tie
        # with level k; bin 2 K + k: the positives of level k; the last: negatives no positive beats.
        self._bin = np.empty(len(scores), np.int64)
        self._bin[positive] = 2 * len(levels) + place
        above = np.searchsorted(levels, scores[~positive], "right")
        tied = np.searchsorted(levels, scores[~positive], "left") < above
        self._bin[~positive] = np.where(
            tied, len(levels) + above - 1, np.where(above < len(levels), above, 3 * len(levels))
        )

    def __call__(self, weights: Array) -> Array:
        """weights `[N]` or `[B, N]`, whole numbers -> 0-d array or `[B]`; NaN where a class is missing."""
        count = self._levels
        sums = np.array([np.bincount(self._bin, row, 3 * count + 1) for row in np.atleast_2d(weights)])
        below, tied, positive, above = np.split(sums, [count, 2 * count, 3 * count], axis=1)
        pairs = positive.sum(axis=1) * (below.sum(axis=1) + tied.sum(axis=1) + above[:, 0])
        below[:, 1:] += tied[:, :-1]
        beaten = below.astype(np.int64).cumsum(axis=1)  # whole numbers: a quarter of the time of floats
        won = np.einsum("bk,bk->b", positive, beaten + tied / 2)
        result = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
        return result.reshape(weights.shape[:-1])


def auc(scores: Array, targets: NDArray[np.int64], weights: Array | None = None) -> Array:
    """`Auc` at once: a 0-d array, or `[B]` for weights `[B, N]`."""
    return Auc(scores, targets)(np.ones(len(scores)) if weights is None else weights)
