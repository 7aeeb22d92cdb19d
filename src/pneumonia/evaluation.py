"""The numbers of metrics/evaluation.json and the points of the curves, from predictions and labels.

Every threshold is chosen on the validation studies; every number is of the holdout studies, which nothing else saw.
A study is called positive where its score reaches `threshold`; a box is shown where its score reaches `box_threshold`.
For a detector, whose study score is its highest box's, the two are one. Intervals are 95%, by resampling persons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detection.average_precision import Matches
from pneumonia.metrics import bootstrap, challenge, image_level, operating_point
from pneumonia.metrics.froc import froc
from pneumonia.metrics.matching import BOX_IOU, BoxTable, box_table, found, ranked

Array = NDArray[np.float64]
VIEWS = ("AP", "PA")
CURVE_POINTS = 200
CALLS = ("no opacity", "opacity")


@dataclass(frozen=True)
class Predictions:
    """What one model says: `scores` (study -> 0 to 1) and, of a detector, `detections` (study, x, y, ..., score)."""

    scores: pd.Series
    detections: pd.DataFrame | None = None


@dataclass(frozen=True)
class Evaluation:
    """metrics: the nested content of evaluation.json. curves: `roc`, `pr`, `froc` with a column model each.

    confusion: columns actual, predicted, one row a holdout study, at the operating point of `ensemble` (of the last
    model where there is none).
    """

    metrics: dict[str, Any]
    curves: dict[str, pd.DataFrame]
    confusion: pd.DataFrame


@dataclass(frozen=True)
class Labelled:
    """The studies of one subset with their truth."""

    studies: pd.DataFrame
    boxes: pd.DataFrame
    ids: list[str] = field(init=False)
    targets: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", self.studies["study"].tolist())
        object.__setattr__(self, "targets", self.studies["target"].to_numpy(np.int64))

    def scores(self, predictions: Predictions) -> Array:
        """float64 `[N]`; raises ValueError where a study has no score."""
        values = predictions.scores.reindex(self.ids)
        if values.isna().any():
            raise ValueError(
                f"{int(values.isna().sum())} of {len(values)} studies have no score, the first is "
                f"{values.index[values.isna()][0]}: run the predict stages again"
            )
        return values.to_numpy(np.float64)

    def counts(self) -> dict[str, int]:
        return {
            "studies": len(self.ids),
            "persons": int(self.studies["person"].nunique()),
            "positives": int(self.targets.sum()),
            "boxes": int(self.boxes["study"].isin(self.ids).sum()),
        }


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
    """Evaluate `predictions` (model -> Predictions).

    studies: study, person, category, target, view; boxes: study, x, y, width, height (pixels of the original image).
    split: study, subset; `validation` chooses thresholds, `holdout` is reported.
    rule, value: see `metrics.operating_point.choose`. resamples, seed: of the bootstrap.

    Raises ValueError where a subset is empty or a model lacks a study of them.
    """
    validation, holdout = (subset(studies, boxes, split, name) for name in ("validation", "holdout"))
    models = {
        name: _Model(prediction, validation, holdout, rule, value) for name, prediction in sorted(predictions.items())
    }

    def measures(weights: Array) -> dict[str, Array]:
        values = {f"{name}/{key}": v for name, model in models.items() for key, v in model.measures(weights).items()}
        for one, other, key in _pairs(models):
            values[f"{one}_minus_{other}/{key}"] = values[f"{one}/{key}"] - values[f"{other}/{key}"]
        return values

    once = {key: float(v[0]) for key, v in measures(np.ones((1, len(holdout.ids)))).items()}
    ranges = bootstrap.intervals(measures, holdout.studies["person"].tolist(), resamples, seed)
    metrics: dict[str, Any] = {name: model.constants() for name, model in models.items()}
    for path, number in once.items():
        section, key = path.split("/")
        low, high = ranges.get(path, (np.nan, np.nan))
        metrics.setdefault(section, {}).update({key: number, f"{key}_low": low, f"{key}_high": high})
    metrics["holdout"], metrics["validation"] = holdout.counts(), validation.counts()
    metrics["yardsticks"] = {"view_only_auc": view_only_auc(validation, holdout)}
    called = models["ensemble" if "ensemble" in models else list(models)[-1]].called
    return Evaluation(metrics, _curves(models, holdout), _confusion(holdout.targets, called))


def subset(studies: pd.DataFrame, boxes: pd.DataFrame, split: pd.DataFrame, name: str) -> Labelled:
    """The studies of one subset of `split`, sorted by id. Raises ValueError where it is empty or a study is unknown."""
    ids = sorted(split["study"][split["subset"] == name])
    if not ids:
        raise ValueError(f"split.csv has no {name} study; split more studies or check split.folds and split.holdout")
    unknown = sorted(set(ids) - set(studies["study"]))
    if unknown:
        raise ValueError(f"split.csv names {len(unknown)} studies that studies.csv lacks, such as {unknown[0]}")
    chosen = studies.set_index("study").loc[ids].reset_index()
    chosen["person"] = chosen["person"].where(chosen["person"] != "", chosen["study"])
    return Labelled(chosen, boxes)


def view_only_auc(validation: Labelled, holdout: Labelled) -> float:
    """The AUC of knowing nothing but the view: each holdout study scores its view's share of positives in validation.

    Ill patients are radiographed lying (AP), so the view alone predicts the finding; a model should do far better.
    """
    share = validation.studies.groupby("view")["target"].mean()
    fallback = float(validation.studies["target"].mean())
    scores = holdout.studies["view"].map(share).fillna(fallback).to_numpy(np.float64)
    return float(image_level.auc(scores, holdout.targets))


class _Model:
    """One model's thresholds (from validation) and what it takes to measure it on any weighting of the holdout."""

    def __init__(
        self, predictions: Predictions, validation: Labelled, holdout: Labelled, rule: str, value: float
    ) -> None:
        self.holdout = holdout
        self.scores = holdout.scores(predictions)
        own = validation.scores(predictions)
        self.threshold = operating_point.choose(own, validation.targets, rule, value)
        self.called = self.scores >= self.threshold
        self.table: BoxTable | None = None
        if predictions.detections is None:
            return
        self.table = box_table(holdout.ids, predictions.detections, holdout.boxes)
        table = box_table(validation.ids, predictions.detections, validation.boxes)
        # The ensemble's study score is not its highest box's: its boxes get a threshold of their own, by the same rule.
        same = np.array_equal(table.highest(), own)
        self.box_threshold = (
            self.threshold if same else operating_point.choose(table.highest(), validation.targets, rule, value)
        )
        self.challenge_threshold, _ = challenge.best_threshold(table)

    def constants(self) -> dict[str, float]:
        """What no resample changes: the thresholds."""
        result = {"threshold": self.threshold}
        if self.table is not None:
            result |= {"box_threshold": self.box_threshold, "challenge_threshold": self.challenge_threshold}
        return result

    def measures(self, weights: Array) -> dict[str, Array]:
        """weights `[B, N]` -> name -> `[B]`."""
        targets = self.holdout.targets
        result = {"auc": image_level.auc(self.scores, targets, weights)}
        for view, mask in self._views.items():
            result[f"auc_{view.lower()}"] = image_level.auc(self.scores[mask], targets[mask], weights[:, mask])
        rates = image_level.rates(self.called, targets, weights)
        result |= {name: rates[name] for name in ("sensitivity", "specificity", "precision", "npv", "f1")}
        result["brier"] = image_level.mean((self.scores - targets) ** 2, weights)
        if self.table is not None:
            result["ap50"] = bootstrap.weighted_average_precision(self._ranked, weights)
            result["challenge"] = image_level.mean(self._challenge, weights)
            result["box_sensitivity"] = _share(weights @ self._found, weights @ self.table.truths)
            result["box_precision"] = _share(weights @ self._found, weights @ self._shown)
            result["boxes_per_normal"] = image_level.mean(np.where(targets == 0, self._shown, np.nan), weights)
        return result

    @cached_property
    def _views(self) -> dict[str, NDArray[np.bool_]]:
        view = self.holdout.studies["view"].to_numpy()
        return {name: mask for name in VIEWS if (mask := view == name).any()}

    @cached_property
    def _ranked(self) -> Matches:
        assert self.table is not None
        return ranked(self.table)

    @cached_property
    def _challenge(self) -> Array:
        assert self.table is not None
        return challenge.study_scores(self.table, self.challenge_threshold)

    @cached_property
    def _shown(self) -> Array:
        assert self.table is not None
        return self.table.count(self.box_threshold).astype(np.float64)

    @cached_property
    def _found(self) -> Array:
        """Shown boxes of each study that find a truth box."""
        assert self.table is not None
        hits = found(self.table, [BOX_IOU], strict=False)[0] & (self.table.score >= self.box_threshold)
        return np.bincount(self.table.study[hits], minlength=len(self.holdout.ids)).astype(np.float64)


def _pairs(models: Mapping[str, _Model]) -> list[tuple[str, str, str]]:
    """(ensemble, other model, measure) that are compared on the same studies."""
    if "ensemble" not in models:
        return []
    pairs = []
    for other, model in models.items():
        if other != "ensemble":
            keys = ("auc",) if model.table is None else ("auc", "ap50", "challenge")
            pairs += [("ensemble", other, key) for key in keys]
    return pairs


def _curves(models: Mapping[str, _Model], holdout: Labelled) -> dict[str, pd.DataFrame]:
    parts: dict[str, list[pd.DataFrame]] = {"roc": [], "pr": [], "froc": []}
    for name, model in models.items():
        false_positive_rate, sensitivity, _ = image_level.roc_curve(model.scores, holdout.targets)
        parts["roc"].append(_points(name, false_positive_rate=false_positive_rate, sensitivity=sensitivity))
        recall, precision, _ = image_level.pr_curve(model.scores, holdout.targets)
        parts["pr"].append(_points(name, recall=recall, precision=precision))
        if model.table is not None:
            false, sensitivity = froc(model.table)
            parts["froc"].append(_points(name, false_boxes=false, sensitivity=sensitivity))
    return {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items() if frames}


def _points(model: str, **columns: Array) -> pd.DataFrame:
    """At most CURVE_POINTS points, the ends among them, spread evenly along the curve's length."""
    x, y = columns.values()
    along = np.r_[0.0, np.cumsum(np.hypot(np.diff(x / max(x.max(), 1e-9)), np.diff(y)))] if len(x) else x
    if len(along) > CURVE_POINTS:
        wanted = np.linspace(0, along[-1], CURVE_POINTS)
        keep = np.unique(np.clip(np.searchsorted(along, wanted), 0, len(along) - 1))
        columns = {name: values[keep] for name, values in columns.items()}
    return pd.DataFrame({"model": model, **columns})


def _confusion(targets: NDArray[np.int64], called: NDArray[np.bool_]) -> pd.DataFrame:
    names = np.asarray(CALLS, dtype=object)
    return pd.DataFrame({"actual": names[targets], "predicted": names[called.astype(int)]})


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
