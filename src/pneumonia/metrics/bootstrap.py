"""Confidence intervals by resampling persons (Efron and Tibshirani 1993, percentile interval).

Several studies of one person are not independent: a resample draws persons with replacement and takes all their
studies. A resample is a vector of weights (how often each study counts), so that a measure handles hundreds of them in
one step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Key = TypeVar("Key", bound=Hashable)
BLOCK = 50  # resamples in one step
THREADS = 2  # steps at once: NumPy lets go of Python's lock for most of one, more threads gain little


def person_weights(
    persons: Sequence[str], resamples: int, seed: int, block: int = BLOCK
) -> Iterator[NDArray[np.float64]]:
    """Yield weights `[b, N]`, b <= `block`, until `resamples` rows were given.

    The same persons and seed give the same resamples: two models evaluated with them are compared on equal terms.

    Arguments:
        persons: one a study, `[N]`.
    """
    names, person = np.unique(np.asarray(persons, dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(0, len(names), (rows, len(names))) + len(names) * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * len(names)).reshape(rows, len(names))
        yield counts.astype(np.float64).take(person, axis=1)  # take, not [:, person]: rows lie in one piece


def intervals(
    measures: Callable[[NDArray[np.float64]], Mapping[Key, NDArray[np.float64]]],
    persons: Sequence[str],
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> dict[Key, tuple[float, float]]:
    """Percentile interval of each measure.

    Resamples where a measure is NaN are left out of it; an interval without any is (NaN, NaN), and so is one from zero
    resamples.

    Arguments:
        measures: weights `[b, N]` -> name -> values `[b]`, called by several threads.
    """
    collected: dict[Key, list[NDArray[np.float64]]] = {}
    blocks_of_weights = person_weights(persons, resamples, seed)
    # The products are small: BLAS's own threads would wait for each other longer than they work.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as threads:
        while some := list(itertools.islice(blocks_of_weights, THREADS)):  # no more in memory than are worked on
            for measured in threads.map(measures, some):
                for name, values in measured.items():
                    collected.setdefault(name, []).append(values)
    tail = 50 * (1 - level)
    result = {}
    for name, blocks in collected.items():
        values = np.concatenate(blocks)
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, [tail, 100 - tail]) if len(values) else (np.nan, np.nan)
        result[name] = (float(low), float(high))
    return result
