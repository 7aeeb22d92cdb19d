"""A measure with its interval: everything that an evaluation measures is measured here, once and under resamples."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from pneumonia.metrics import bootstrap
from pneumonia.metrics.ratios import Array

Key = TypeVar("Key", bound=Hashable)


class Estimate(NamedTuple):
    """A measure of the studies as they are, and the ends of its 95% interval; NaN: unknown."""

    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")

    def named(self, name: str) -> dict[str, float]:
        """`name`, `name_low` and `name_high`, as files have them."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def estimate(
    measures: Callable[[Array], Mapping[Key, Array]], persons: Sequence[str], *, resamples: int, seed: int
) -> dict[Key, Estimate]:
    """Each measure of the studies as they are, with its 95% interval by resampling persons.

    Arguments:
        measures: weights `[B, N]`, how often each study counts -> key -> value `[B]`; called by several threads. What
            is to be compared on the same resamples (models, a model with another) is measured by one such function.
        persons: one a study, `[N]`.
        resamples, seed: as of `metrics.bootstrap.intervals`; no resamples, no interval.
    """
    once = measures(np.ones((1, len(persons))))
    ranges = bootstrap.intervals(measures, persons, resamples, seed)
    return {key: Estimate(float(values[0]), *ranges.get(key, ())) for key, values in once.items()}
