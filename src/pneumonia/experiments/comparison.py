"""Is one better? Two models, or one model of two revisions, on the same holdout studies.

Both are measured on the same resamples of the same persons, so that what makes a study easy or hard for both falls out
of the difference: its interval is usually narrower than the two models' own (a paired comparison).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pneumonia.data.subsets import Labelled, subset
from pneumonia.evaluation.calibrate import calibrated, calibrations
from pneumonia.evaluation.estimates import estimate
from pneumonia.evaluation.inputs import Inputs
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.subgroups import size_limits
from pneumonia.evaluation.thresholds import choose
from pneumonia.metrics.ratios import Array
from pneumonia.schema.data import BOXES
from pneumonia.schema.results import LOWER_IS_BETTER
from pneumonia.text import aligned

LABELS = ["target", "view"]


class Difference(NamedTuple):
    """One measure of both, `b` minus `a`, and the 95% interval of that (NaN: unknown).

    Attributes:
        better: `a` or `b` where the interval leaves out 0, else empty.
    """

    measure: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    better: str


@dataclass(frozen=True)
class Comparison:
    """Every measure that both models have.

    Attributes:
        counts: of the holdout studies.
        differences: one a measure.
    """

    counts: dict[str, int]
    differences: list[Difference]


def compare(
    a: Inputs,
    b: Inputs,
    model_a: str,
    model_b: str,
    *,
    rule: str,
    value: float,
    resamples: int,
    seed: int,
    method: str = "none",
    score_floor: float = 0.0,
) -> Comparison:
    """Compare `model_a` of `a` with `model_b` of `b`; each has its thresholds and calibration from its own validation studies.

    Arguments:
        rule, value, resamples, seed: as of `evaluation.evaluate.evaluate`.
        method, score_floor: as of `evaluation.calibrate.calibrations`.

    Raises:
        ValueError: the two do not hold out the same studies with the same labels and boxes.
    """
    holdouts = [subset(one.studies, one.boxes, one.split, "holdout") for one in (a, b)]
    check_same(*holdouts)
    limits = size_limits(a.boxes, a.split)
    models = []
    for one, holdout, name in zip((a, b), holdouts, (model_a, model_b), strict=True):
        validation = subset(one.studies, one.boxes, one.split, "validation")
        said = {name: one.predictions[name]}
        own = calibrated(said, calibrations(said, validation, method=method, score_floor=score_floor))[name]
        chosen = choose(own, validation, rule=rule, value=value)
        models.append(MeasuredModel(own, holdout, [chosen], size_limits=limits))

    def measures(weights: Array) -> dict[tuple[str, str], Array]:
        first, second = (model.measures(weights) for model in models)
        shared = [key for key in first if key in second]
        result = {("a", key): first[key] for key in shared} | {("b", key): second[key] for key in shared}
        return result | {("difference", key): second[key] - first[key] for key in shared}

    estimates = estimate(measures, holdouts[0].studies["person"].tolist(), resamples=resamples, seed=seed)
    differences = [
        Difference(key, estimates["a", key].value, estimates["b", key].value, *own, _better(key, own.low, own.high))
        for (side, key), own in estimates.items()
        if side == "difference"
    ]
    return Comparison(holdouts[0].counts(), differences)


def check_same(a: Labelled, b: Labelled) -> None:
    """Check that two holdouts have the same studies, labels, views and boxes.

    Raises:
        ValueError: they differ; it says in how many studies.
    """
    only_a, only_b = set(a.ids) - set(b.ids), set(b.ids) - set(a.ids)
    if only_a or only_b:
        raise ValueError(
            f"the holdouts differ: {len(only_a)} of {len(a.ids)} studies are only in the first, {len(only_b)} of "
            f"{len(b.ids)} only in the second; compare revisions with the same data and split"
        )
    labels = a.studies.set_index("study")[LABELS] != b.studies.set_index("study")[LABELS]
    changed = set(labels.index[labels.any(axis=1)])
    boxes = [
        set(map(tuple, one.boxes.loc[one.boxes["study"].isin(one.ids), list(BOXES.columns)].to_numpy()))
        for one in (a, b)
    ]
    changed |= {box[0] for box in boxes[0] ^ boxes[1]}
    if changed:
        raise ValueError(
            f"the labels of {len(changed)} of {len(a.ids)} holdout studies differ, such as {min(changed)}; compare "
            "revisions with the same cleaned data"
        )


def text(comparison: Comparison, name_a: str, name_b: str) -> str:
    """The comparison as a table to read in a terminal."""
    counts = comparison.counts
    lines = [["measure", name_a, name_b, "difference", "95% interval", "better"]]
    for row in comparison.differences:
        numbers = [f"{value:.3f}" for value in (row.a, row.b)]
        interval = "" if np.isnan(row.low) else f"{row.low:+.3f} to {row.high:+.3f}"
        better = {"a": name_a, "b": name_b}.get(row.better, "")
        lines.append([row.measure, *numbers, f"{row.difference:+.3f}", interval, better])
    intro = (
        f"{counts['studies']} holdout studies of {counts['persons']} persons, {counts['positives']} positive, "
        f"{counts['boxes']} boxes. Difference: second minus first."
    )
    return f"{intro}\n\n{aligned(lines, right=range(1, 5))}"


def as_dict(comparison: Comparison, name_a: str, name_b: str) -> dict[str, Any]:
    """The comparison as plain values, for JSON: floats with six decimals, None for what is unknown."""
    measures = {
        row.measure: {
            name: value if isinstance(value, str) else None if np.isnan(value) else round(value, 6)
            for name, value in row._asdict().items()
            if name != "measure"
        }
        for row in comparison.differences
    }
    return {"a": name_a, "b": name_b, "holdout": comparison.counts, "measures": measures}


def _better(measure: str, low: float, high: float) -> str:
    if not (low > 0 or high < 0):  # NaN is neither
        return ""
    return "b" if (low > 0) != (measure in LOWER_IS_BETTER) else "a"
