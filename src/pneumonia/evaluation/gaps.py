"""Does a model do worse for some? Gaps of sensitivity and AUC by view, sex and age, with one correction for all of them.

A gap is a group's measure less that of the other known groups together. Persons are resampled; the largest of all
standardised deviations in each resample gives simultaneous intervals and adjusted p-values (single-step max-T: Westfall and
Young 1993; Romano and Wolf 2005), so that among gaps that are all chance one in twenty evaluations shows any. Groups
whose measure rests on too few persons are listed and not tested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.data.split import age_bands
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.subgroups import SMALL_PERSONS
from pneumonia.metrics.bootstrap import person_weights
from pneumonia.metrics.image_level import Auc
from pneumonia.metrics.ratios import Array, ratio
from pneumonia.schema.data import UNKNOWN

LEVEL = 0.95
GROUPS = ("view", "sex", "age")
MEASURES = ("sensitivity", "auc")
COLUMNS = ["measure", "group", "value", "estimate", "others", "gap", "low", "high", "p", "persons", "tested"]
Measure = Callable[[Array], Array]  # weights [B, N] -> [B]


class _Gap(NamedTuple):
    measure: str
    group: str
    value: str
    own: Measure
    others: Measure
    persons: int  # the fewer of both sides, that the measure rests on


def gaps(model: MeasuredModel, *, resamples: int, seed: int) -> pd.DataFrame:
    """A row a gap, with the columns `COLUMNS`.

    estimate and others are the two sides, low and high the ends of the simultaneous interval of their difference, p is
    adjusted for all gaps of the table; NaN where tested is 0.

    Arguments:
        model: on the studies that are reported.
        resamples: at least 1.
        seed: of the resamples.
    """
    found = list(_gaps(model))
    tested = [gap for gap in found if gap.persons >= SMALL_PERSONS]
    once = np.ones((1, len(model.targets)))
    sides = [(float(gap.own(once)[0]), float(gap.others(once)[0])) for gap in found]
    frame = pd.DataFrame(
        [
            (
                *gap[:3],
                own,
                others,
                own - others,
                np.nan,
                np.nan,
                np.nan,
                gap.persons,
                int(gap.persons >= SMALL_PERSONS),
            )
            for gap, (own, others) in zip(found, sides, strict=True)
        ],
        columns=COLUMNS,
    )
    if tested:
        persons = model.labelled.studies["person"].tolist()
        drawn = [
            np.stack([gap.own(weights) - gap.others(weights) for gap in tested], axis=1)
            for weights in person_weights(persons, resamples, seed)
        ]
        rows = frame["tested"] == 1
        estimates = frame.loc[rows, "gap"].to_numpy(np.float64)
        low, high, p = simultaneous(estimates, np.concatenate(drawn))
        frame.loc[rows, ["low", "high", "p"]] = np.column_stack([low, high, p])
    return frame


def simultaneous(estimates: Array, drawn: Array, level: float = LEVEL) -> tuple[Array, Array, Array]:
    """Simultaneous intervals and adjusted p-values of several estimates.

    Arguments:
        estimates: `[K]`.
        drawn: `[B, K]`, the same under resamples; NaN where one could not be had.
        level: of all intervals together.

    Returns:
        low, high, p: `[K]` each; an estimate that no resample moves has an interval of no width, and p 1 where it is 0.
    """
    spread = np.nanstd(drawn, axis=0, ddof=1) if len(drawn) > 1 else np.zeros(drawn.shape[1])
    moves = spread > 0
    deviation = np.zeros(drawn.shape)
    deviation[:, moves] = np.abs(drawn - estimates)[:, moves] / spread[moves]
    largest = np.nanmax(deviation, axis=1, initial=0.0)
    width = np.quantile(largest, level) * spread
    observed = np.divide(np.abs(estimates), spread, out=np.where(estimates == 0, 0.0, np.inf), where=moves)
    p = (1 + (largest[:, None] >= observed).sum(axis=0)) / (1 + len(drawn))
    return estimates - width, estimates + width, p


def sentence(frame: pd.DataFrame, name: str) -> str:
    """What the table says, to be quoted.

    Arguments:
        frame: of `gaps`.
        name: of the model, in words.
    """
    tested, left = frame[frame["tested"] == 1], int((frame["tested"] == 0).sum())
    small = f" {left} gaps rest on fewer than {SMALL_PERSONS} persons and were not tested." if left else ""
    if tested.empty:
        return f"No gap of the {name} could be tested.{small}"
    beyond = tested[tested["p"] <= 1 - LEVEL]
    said = f"Of {len(tested)} gaps of the {name} in sensitivity and AUC by view, sex and age, "
    if beyond.empty:
        widest = tested.iloc[int(tested["high"].sub(tested["low"]).to_numpy().argmax())]
        return (
            f"{said}none is beyond chance at 5% after correction for all of them; the widest 95% interval "
            f"({_named(widest)}) still allows a gap from {widest['low']:+.2f} to {widest['high']:+.2f}.{small}"
        )
    listed = "; ".join(
        f"{_named(row)} {row['gap']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}, adjusted p {row['p']:.3f})"
        for _, row in beyond.iterrows()
    )
    return f"{said}{len(beyond)} beyond chance at 5% after correction for all of them: {listed}.{small}"


def _named(row: pd.Series) -> str:
    return f"{row['measure']} of {row['group']} {row['value']} less that of the others"


def _gaps(model: MeasuredModel) -> list[_Gap]:
    """Every group of every grouping against the other known ones; of two groups only the first."""
    studies, found = model.labelled.studies, []
    person = pd.factorize(studies["person"])[0]
    for group in GROUPS:
        if group not in studies:
            continue
        names = (age_bands(studies["age"]) if group == "age" else studies[group].replace("", UNKNOWN)).to_numpy(str)
        values = sorted({*names} - {UNKNOWN})
        known = names != UNKNOWN
        for value in values[:1] if len(values) == 2 else values if len(values) > 2 else []:
            own, others = names == value, known & (names != value)
            for measure in MEASURES:
                rest_on = [_persons(model, side, measure, person) for side in (own, others)]
                if min(rest_on):
                    one, other = _measure(model, own, measure), _measure(model, others, measure)
                    found.append(_Gap(measure, group, value, one, other, min(rest_on)))
    return found


def _persons(model: MeasuredModel, side: NDArray[np.bool_], measure: str, person: NDArray[np.int64]) -> int:
    """Persons that a measure rests on: those of the positive studies, for the AUC of the rarer class."""
    classes = (1,) if measure == "sensitivity" else (0, 1)
    return min(len(np.unique(person[side & (model.targets == target)])) for target in classes)


def _measure(model: MeasuredModel, side: NDArray[np.bool_], measure: str) -> Measure:
    if measure == "auc":
        return Auc(model.scores, model.targets, side)
    positive = ((model.targets == 1) & side).astype(np.float64)
    called = positive * model.called

    def sensitivity(weights: Array) -> Array:
        return np.asarray(ratio(weights @ called, weights @ positive))

    return sensitivity
