"""Measures that are one sum over the studies divided by another: most of what an evaluation says.

Sensitivity is (called positives) / (positives), a mean is (sum) / (count), F1 is 2 TP / (2 TP + FP + FN). Written as a
pair of columns, one number a study each, any of them is a matrix product for all bootstrap resamples at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from hashlib import sha256
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[Array, Array]  # (numerator, denominator), `[N]` each
Key = TypeVar("Key", bound=Hashable)


class Ratios(Generic[Key]):
    """Ratios of weighted sums over the studies. Columns that several pairs share are summed once.

    Arguments:
        pairs: name -> (numerator `[N]`, denominator `[N]`).
    """

    def __init__(self, pairs: Mapping[Key, Pair]) -> None:
        columns: dict[bytes, int] = {}
        kept: list[Array] = []
        self.keys = tuple(pairs)
        places = []
        for pair in pairs.values():
            for column in pair:
                content = sha256(np.asarray(column, np.float64).tobytes()).digest()
                if content not in columns:
                    columns[content] = len(kept)
                    kept.append(column)
                places.append(columns[content])
        self.top, self.bottom = places[::2], places[1::2]
        self.columns = np.stack(kept, -1) if kept else np.zeros((0, 0))  # (N, C)

    def __call__(self, weights: Array) -> dict[Key, Array]:
        """The ratios under weights; one without a denominator is NaN.

        Arguments:
            weights: how often each study counts, `[N]` or `[B, N]`.

        Returns:
            name -> 0-d array, or `[B]`.
        """
        if not self.keys:
            return {}
        sums = (weights @ self.columns).T  # (C) or (C, B)
        return dict(zip(self.keys, ratio(sums[self.top], sums[self.bottom]), strict=True))


def mean_pair(values: Array) -> Pair:
    """The mean of `values` `[N]` as a pair; studies with NaN are left out."""
    known = ~np.isnan(values)
    return np.where(known, values, 0.0), known.astype(np.float64)


def ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, NaN where `bottom` is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
