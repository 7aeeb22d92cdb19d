"""Measures that are one sum over the studies divided by another: most of what an evaluation says.

Sensitivity is (called positives) / (positives), a mean is (sum) / (count), F1 is 2 TP / (2 TP + FP + FN). Written as a
pair of columns, one number a study each, any of them is a matrix product for all bootstrap resamples at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[Array, Array]  # (numerator, denominator), `[N]` each
Key = TypeVar("Key", bound=Hashable)


def evaluate(pairs: Mapping[Key, Pair], weights: Array) -> dict[Key, Array]:
    """The ratio of each pair, NaN where its denominator is 0.

    pairs: name -> (numerator `[N]`, denominator `[N]`). weights: how often each study counts, `[N]` or `[B, N]`.
    Returns name -> 0-d array, or `[B]`.
    """
    if not pairs:
        return {}
    columns = np.stack([column for pair in pairs.values() for column in pair], -1)  # (N, 2 P)
    sums = weights @ columns
    return {key: ratio(sums[..., 2 * i], sums[..., 2 * i + 1]) for i, key in enumerate(pairs)}


def mean_pair(values: Array) -> Pair:
    """The mean of `values` `[N]` as a pair; studies with NaN are left out."""
    known = ~np.isnan(values)
    return np.where(known, values, 0.0), known.astype(np.float64)


def ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, NaN where `bottom` is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), np.asarray(bottom, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
