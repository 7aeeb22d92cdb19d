"""The numbers of metrics/evaluation.json, the tables and the points of the curves, from predictions and labels.

Every threshold is chosen on the validation studies; every number is of the holdout studies, which nothing else saw.
Intervals are 95%, by resampling persons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pneumonia.data.subsets import Labelled, subset
from pneumonia.evaluation.estimates import Estimate, estimate
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.subgroups import Subgroups, size_limits
from pneumonia.evaluation.tables import Calibration, Operating, Table
from pneumonia.evaluation.thresholds import choose
from pneumonia.metrics import challenge, curves
from pneumonia.metrics.froc import froc
from pneumonia.metrics.image_level import Auc
from pneumonia.metrics.operating_point import LOOKS_AT, got
from pneumonia.metrics.ratios import Array
from pneumonia.schema.models import ENSEMBLE
from pneumonia.schema.results import CALLS

TABLES: dict[str, Callable[[MeasuredModel], Table]] = {
    "subgroups": Subgroups,
    "operating": Operating,
    "calibration": Calibration,
}
Key = tuple[Any, ...]  # (section, measure) of the metrics, (kind, model, key) of a table


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation of the holdout says.

    Attributes:
        metrics: the nested content of evaluation.json.
        tables: `subgroups`, `operating`, `calibration`, each with a column model.
        curves: `roc`, `pr`, `froc`, `challenge`, each with a column model.
        confusion: columns actual, predicted, one row a holdout study, at the operating point of `ensemble` (of the last
            model where there is none).
    """

    metrics: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    curves: dict[str, pd.DataFrame]
    confusion: pd.DataFrame


def evaluate(
    studies: pd.DataFrame,
    boxes: pd.DataFrame,
    split: pd.DataFrame,
    predictions: Mapping[str, Predictions],
    *,
    rule: str,
    value: float,
    resamples: int,
    seed: int,
) -> Evaluation:
    """Evaluate models on the holdout, with thresholds from validation.

    Arguments:
        studies: study, person, category, target, view, and for their subgroups sex, age, rows, columns.
        boxes: study, x, y, width, height in pixels of the original image.
        split: study, subset; `validation` chooses thresholds, `holdout` is reported.
        predictions: model -> Predictions.
        rule, value: as of `metrics.operating_point.choose`.
        resamples, seed: of the bootstrap.

    Raises:
        ValueError: a subset is empty, or a model lacks a study of them.
    """
    validation, holdout = (subset(studies, boxes, split, name) for name in ("validation", "holdout"))
    limits = size_limits(boxes, split)
    models = {
        name: MeasuredModel(own, holdout, [choose(own, validation, rule=rule, value=value)], size_limits=limits)
        for name, own in sorted(predictions.items())
    }
    tables = {(kind, name): make(model) for name, model in models.items() for kind, make in TABLES.items()}
    view_only = _view_only(validation, holdout)

    def measures(weights: Array) -> dict[Key, Array]:
        values: dict[Key, Array] = {("yardsticks", "view_only_auc"): view_only(weights)}
        known = {name: model.measures(weights) for name, model in models.items()}
        for name, own in known.items():
            values |= {(name, key): v for key, v in own.items()}
        for one, other, key in _pairs(models):
            values[f"{one}_minus_{other}", key] = values[one, key] - values[other, key]
        for (kind, name), table in tables.items():
            values |= {(kind, name, key): v for key, v in table.measures(weights, known[name]).items()}
        return values

    estimates = estimate(measures, holdout.studies["person"].tolist(), resamples=resamples, seed=seed)
    metrics: dict[str, Any] = {name: _constants(model) for name, model in models.items()}
    for path, own in estimates.items():
        if len(path) == 2:
            metrics.setdefault(path[0], {}).update(own.named(path[1]))
    metrics["holdout"], metrics["validation"] = holdout.counts(), validation.counts()
    metrics["box_sizes"] = dict(zip(("small_below", "large_from"), limits, strict=True))

    def laid_out(kind: str) -> pd.DataFrame:
        return _stacked({name: tables[kind, name].table(_of(estimates, kind, name)) for name in models})

    return Evaluation(
        metrics,
        {kind: laid_out(kind) for kind in TABLES},
        _curves(models),
        _confusion(models[ENSEMBLE if ENSEMBLE in models else list(models)[-1]]),
    )


def _constants(model: MeasuredModel) -> dict[str, float]:
    """What no resample changes: the thresholds, what the rule wanted of the studies, and what it got."""
    (chosen,) = model.thresholds
    result = {"threshold": chosen.study}
    if chosen.rule in LOOKS_AT:
        result |= {
            "wanted": chosen.value,
            "reached_validation": chosen.reached,
            "reached_holdout": got(model.called, model.targets, chosen.rule),
        }
    if model.table is not None:
        result |= {"box_threshold": chosen.box, "challenge_threshold": chosen.challenge}
    return result


def _view_only(validation: Labelled, holdout: Labelled) -> Auc:
    """The AUC of knowing nothing but the view: each holdout study scores its view's share of positives in validation.

    Ill patients are radiographed lying (AP), so the view alone predicts the finding; a model should do far better.
    """
    share = validation.studies.groupby("view")["target"].mean()
    fallback = float(validation.studies["target"].mean())
    return Auc(holdout.studies["view"].map(share).fillna(fallback).to_numpy(np.float64), holdout.targets)


def _pairs(models: Mapping[str, MeasuredModel]) -> list[tuple[str, str, str]]:
    """(ensemble, other model, measure) that are compared on the same studies."""
    if ENSEMBLE not in models:
        return []
    pairs = []
    for other, model in models.items():
        if other != ENSEMBLE:
            keys = ("auc",) if model.table is None else ("auc", "ap50", "challenge")
            pairs += [(ENSEMBLE, other, key) for key in keys]
    return pairs


def _curves(models: Mapping[str, MeasuredModel]) -> dict[str, pd.DataFrame]:
    frames: dict[str, dict[str, pd.DataFrame]] = {"roc": {}, "pr": {}, "froc": {}, "challenge": {}}
    for name, model in models.items():
        false_positive_rate, sensitivity, _ = curves.roc_curve(model.scores, model.targets)
        frames["roc"][name] = curves.thinned(false_positive_rate=false_positive_rate, sensitivity=sensitivity)
        recall, precision, _ = curves.pr_curve(model.scores, model.targets)
        frames["pr"][name] = curves.thinned(recall=recall, precision=precision)
        if model.table is not None:
            false, sensitivity = froc(model.table)
            frames["froc"][name] = curves.thinned(false_boxes=false, sensitivity=sensitivity)
            threshold, value = challenge.sweep(model.table)
            frames["challenge"][name] = curves.thinned(threshold=threshold[::-1], challenge=value[::-1])
    return {kind: _stacked(parts) for kind, parts in frames.items() if parts}


def _of(estimates: Mapping[Key, Estimate], kind: str, model: str) -> dict[Any, Estimate]:
    """What belongs to one table, under the table's own keys."""
    return {key[2]: value for key, value in estimates.items() if key[:2] == (kind, model)}


def _stacked(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One table with the column `model` first."""
    parts = []
    for name, frame in frames.items():
        frame.insert(0, "model", name)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def _confusion(model: MeasuredModel) -> pd.DataFrame:
    names = np.asarray(CALLS, dtype=object)
    return pd.DataFrame({"actual": names[model.targets], "predicted": names[model.called.astype(int)]})
