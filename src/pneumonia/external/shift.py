"""How another set differs from the internal hold-out: measures, prevalence, scores; each with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.estimates import Estimate, estimate
from pneumonia.metrics.image_level import Auc
from pneumonia.metrics.ratios import Array


def difference(new: Estimate, old: Estimate) -> Estimate:
    """`new` minus `old` of two independent sets, with an interval from theirs.

    By MOVER (Zou and Donner 2008, Statistics in Medicine 27): of 0.7 (0.6 to 0.8) and 0.9 (0.86 to 0.93) it is -0.2
    (-0.304 to -0.092).
    """
    value = new.value - old.value
    low = value - np.hypot(new.value - new.low, old.high - old.value)
    high = value + np.hypot(new.high - new.value, old.value - old.low)
    return Estimate(value, float(low), float(high))


def of_measures(new: Mapping[str, float], old: Mapping[str, float]) -> dict[str, Estimate]:
    """The difference of every measure that both have with its interval, as metrics/evaluation.json writes them."""
    names = [name for name in old if f"{name}_low" in old and f"{name}_low" in new]
    return {name: difference(_read(new, name), _read(old, name)) for name in names}


def of_prevalence(new: Labelled, old: Labelled, *, resamples: int, seed: int) -> dict[str, Estimate]:
    """`internal`, `external` share of positive studies, and their `difference`."""
    found = {}
    for name, own in (("internal", old), ("external", new)):
        targets = own.targets.astype(np.float64)

        def share(weights: Array, targets: Array = targets) -> dict[str, Array]:
            return {"share": weights @ targets / weights.sum(axis=1)}

        found[name] = estimate(share, own.studies["person"].tolist(), resamples=resamples, seed=seed)["share"]
    return found | {"difference": difference(found["external"], found["internal"])}


def of_scores(
    new: Labelled, old: Labelled, new_scores: pd.Series, old_scores: pd.Series, *, resamples: int, seed: int
) -> dict[str, Estimate]:
    """The chance that a study of the new set scores higher than one of the old, ties counting half: 0.5 is no shift.

    Of all studies (`all`), of the positive and of the negative ones: the first moves with prevalence, the others do not.
    """
    scores = np.concatenate([new.scores(new_scores), old.scores(old_scores)])
    which = np.repeat([1, 0], [len(new.ids), len(old.ids)])
    targets = np.concatenate([new.targets, old.targets])
    chances = {
        "all": Auc(scores, which),
        **{n: Auc(scores, which, targets == t) for n, t in (("positive", 1), ("negative", 0))},
    }
    persons = [f"{side} {person}" for side, own in (("new", new), ("old", old)) for person in own.studies["person"]]

    def measures(weights: Array) -> dict[str, Array]:
        return {name: chance(weights) for name, chance in chances.items()}

    return estimate(measures, persons, resamples=resamples, seed=seed)


def named(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Every estimate with its ends, as files have them."""
    result: dict[str, Any] = {}
    for name, own in estimates.items():
        result |= own.named(name)
    return result


def _read(values: Mapping[str, float], name: str) -> Estimate:
    ends = (values[name], values[f"{name}_low"], values[f"{name}_high"])
    return Estimate(*(float("nan") if end is None else float(end) for end in ends))
