"""The ensemble's params searched on out-of-fold predictions, and what the search is worth on studies that it did not see.

A coordinate search: from the params as they are, one value after the other is moved along its list of candidates and
the best is kept, until a round changes nothing. All studies are fused once a setting, and every setting that was fused is kept,
so that the search can be repeated without one of the folds at little cost. That gives an honest figure: for each fold
a setting is chosen on the others alone and measured on that fold, beside the present one. The setting that is proposed is chosen
on all folds by the same steps. Nothing is drawn by chance.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.estimates import Estimate, estimate
from pneumonia.metrics.challenge import study_scores_at
from pneumonia.metrics.image_level import Auc
from pneumonia.metrics.matching import BOX_IOU, assigned, box_table
from pneumonia.metrics.ranking import BoxRanking, Ranked
from pneumonia.metrics.ratios import Array, ratio
from pneumonia.prediction.fusion import fuse
from pneumonia.schema.results import OBJECTIVES

STEPS = 100  # score thresholds of the challenge's metric that are tried: quantiles of the fused scores
ROUNDS = 10  # of the search; it ends before, when nothing changes

# Candidates by key, in the order of the search. A detector's weight counts relative to the other's.
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
THRESHOLDS = (0.02, 0.05, 0.1, 0.2)
CANDIDATES: dict[str, tuple[Any, ...]] = {
    "strategy": ("wbf", "union"),
    "weights": WEIGHTS,
    "iou": (0.2, 0.3, 0.4, 0.5, 0.6),
    "gate.power": (0.0, 0.25, 0.5, 0.75, 1.0),
    "thresholds": THRESHOLDS,
    "shrink": (0.85, 0.9, 0.95, 1.0),
}


@dataclass(frozen=True)
class Material:
    """What is searched on.

    Attributes:
        labelled: the studies with their truth.
        fold: int `[N]`, the fold that each was predicted in; a person's studies are in one.
        detections: detector -> study, x, y, width, height (pixels of the original image), score.
        class_scores: study -> the classifier's score.
    """

    labelled: Labelled
    fold: NDArray[np.int64]
    detections: Mapping[str, pd.DataFrame]
    class_scores: pd.Series

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """bool `[K, N]`: the studies of each fold."""
        return self.fold == np.unique(self.fold)[:, None]


class Trial:
    """One setting on all studies: its measures on any of the folds.

    Arguments:
        settings: as the section `ensemble` of params.yaml.
    """

    def __init__(self, material: Material, settings: Mapping[str, Any]) -> None:
        labelled, self.members = material.labelled, material.members
        fused = fuse(material.detections, material.class_scores, labelled.ids, **settings)
        table = box_table(labelled.ids, fused.detections, labelled.boxes).top(100)
        hits = assigned(table, [BOX_IOU], strict=False) >= 0
        self.ranking = BoxRanking([Ranked(table.score, table.study, hits, table.truths)])
        self.auc = Auc(labelled.scores(fused.scores), labelled.targets)
        steps = np.quantile(table.score, np.linspace(0, 1, STEPS)) if len(table.score) else [0.5]
        values = study_scores_at(table, list(steps))  # (T, N)
        self._counts, self._values = ~np.isnan(values), np.nan_to_num(values)

    @cached_property
    def _by_fold(self) -> dict[str, Array]:
        """Average precision and AUC within each fold, `[K]`."""
        weights = self.members.astype(np.float64)
        return {"ap50": self.ranking.measure(weights)[:, 0], "auc": self.auc(weights)}

    @cached_property
    def _challenge(self) -> tuple[Array, Array]:
        """Sum of the study scores, and their count, at each threshold within each fold: `[T, K]` both."""
        weights = self.members.T.astype(np.float64)
        return self._values @ weights, self._counts @ weights

    def step(self, folds: Sequence[int]) -> int:
        """Which threshold is best for the challenge's metric on some folds."""
        top, bottom = (part[:, list(folds)].sum(axis=1) for part in self._challenge)
        return int(np.nan_to_num(ratio(top, bottom)).round(12).argmax())

    def objective(self, names: Sequence[str], folds: Sequence[int]) -> float:
        """The mean of some measures on some folds: of average precision and AUC within each, challenge at its best threshold."""
        found = []
        for name in names:
            if name == "challenge":
                step = self.step(folds)
                top, bottom = (part[step, list(folds)].sum() for part in self._challenge)
                found.append(float(ratio(top, bottom)))
            else:
                found.append(float(np.nanmean(self._by_fold[name][list(folds)])))
        return float(np.mean(found))

    def measured(self, fold: int, step: int, weights: Array) -> dict[str, Array]:
        """The measures within one fold under weights `[B, N]`; of `challenge` its sum and its count."""
        own = weights * self.members[fold]
        return {
            "ap50": self.ranking.measure(own)[:, 0],
            "auc": self.auc(own),
            "sum": own @ self._values[step],
            "count": own @ self._counts[step].astype(np.float64),
        }


@dataclass
class Search:
    """Settings tried on some material, each fused once.

    Attributes:
        names: of `OBJECTIVES`: what is maximized is their mean.
    """

    material: Material
    names: Sequence[str]
    trials: dict[str, Trial] = field(default_factory=dict)

    def trial(self, settings: Mapping[str, Any]) -> Trial:
        key = json.dumps(settings, sort_keys=True)
        if key not in self.trials:
            self.trials[key] = Trial(self.material, settings)
        return self.trials[key]

    def best(self, start: Mapping[str, Any], folds: Sequence[int]) -> dict[str, Any]:
        """The setting that the search reaches from `start`, looking at these folds alone."""
        own = copy.deepcopy(dict(start))
        reached = self.trial(own).objective(self.names, folds)
        for _ in range(ROUNDS):
            before = reached
            for keys, values in moves(self.material.detections):
                for value in values:
                    moved = changed(own, keys, value)
                    if moved is None:
                        continue
                    found = self.trial(moved).objective(self.names, folds)
                    if found > reached + 1e-9:
                        own, reached = moved, found
            if reached <= before:
                break
        return own


def moves(detectors: Mapping[str, Any]) -> list[tuple[tuple[str, ...], tuple[Any, ...]]]:
    """The keys that are searched, each with its candidates; one for each detector where a key has one each."""
    found: list[tuple[tuple[str, ...], tuple[Any, ...]]] = []
    for key, values in CANDIDATES.items():
        if key in ("weights", "thresholds"):
            found += [((key, name), values) for name in sorted(detectors)]
        else:
            found.append((tuple(key.split(".")), values))
    return found


def changed(settings: Mapping[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any] | None:
    """`settings` with one value changed; None where that leaves no detector. A gate's power makes the gate one that multiplies."""
    own = copy.deepcopy(dict(settings))
    section = own
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    if keys[0] == "gate":
        own["gate"]["mode"] = "multiply"
    return own if any(own["weights"].values()) else None


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        settings: the section `ensemble`, chosen on all folds.
        by_fold: the same for each fold, chosen on the others.
        gains: measure -> `before`, `after`, `difference`, of all folds, each measured with what was chosen without it.
        tried: settings that were fused.
    """

    settings: dict[str, Any]
    by_fold: list[dict[str, Any]]
    gains: dict[str, dict[str, Estimate]]
    tried: int


def tune(material: Material, start: Mapping[str, Any], names: Sequence[str], *, resamples: int, seed: int) -> Tuned:
    """Search the ensemble's params.

    Arguments:
        start: the section `ensemble` of params.yaml as it is.
        names: of `OBJECTIVES`: what is maximized is their mean.
        resamples, seed: of the intervals, by resampling persons.

    Raises:
        ValueError: an objective is unknown, or there are fewer than two folds.
    """
    unknown = sorted({*names} - {*OBJECTIVES})
    if unknown or not names:
        raise ValueError(f"the objective must be of {', '.join(OBJECTIVES)}, got {', '.join(unknown) or 'none'}")
    folds = range(len(material.members))
    if len(folds) < 2:
        raise ValueError(f"a search is measured on a fold that it did not see: two folds are wanted, got {len(folds)}")
    search = Search(material, names)
    others = [[other for other in folds if other != fold] for fold in folds]
    by_fold = [search.best(start, rest) for rest in others]
    settings = search.best(start, folds)
    sides = {"before": [search.trial(start)] * len(folds), "after": [search.trial(own) for own in by_fold]}
    steps = {side: [trial.step(rest) for trial, rest in zip(own, others, strict=True)] for side, own in sides.items()}

    def measures(weights: Array) -> dict[tuple[str, str], Array]:
        result: dict[tuple[str, str], Array] = {}
        for side, trials in sides.items():
            parts = [trials[fold].measured(fold, steps[side][fold], weights) for fold in folds]
            result["ap50", side] = np.mean([part["ap50"] for part in parts], axis=0)
            result["auc", side] = np.mean([part["auc"] for part in parts], axis=0)
            result["challenge", side] = ratio(
                *(np.sum([part[key] for part in parts], axis=0) for key in ("sum", "count"))
            )
        return result | {(name, "difference"): result[name, "after"] - result[name, "before"] for name in OBJECTIVES}

    found = estimate(measures, material.labelled.studies["person"].tolist(), resamples=resamples, seed=seed)
    gains = {name: {side: found[name, side] for side in ("before", "after", "difference")} for name in OBJECTIVES}
    return Tuned(settings, by_fold, gains, len(search.trials))


def comment(tuned: Tuned, searched: str, names: Sequence[str]) -> str:
    """What a profile says of the search it comes from.

    Arguments:
        searched: on what, in words.
        names: the objective.
    """
    return "\n".join(
        [
            f"Searched by `pneumonia tune` for {' and '.join(names)}, from the params as they were: {tuned.tried} settings.",
            f"On {searched}; of the hold-out nothing was read.",
            "What it is worth, each fold measured with what was chosen on the others, 95% intervals by person:",
            *(f"  {line}" for line in text(tuned).splitlines()),
            "Chosen on the other folds, for each fold (all of them alike: the choice is steady):",
            *(f"  {json.dumps(own, sort_keys=True)}" for own in tuned.by_fold),
        ]
    )


def text(tuned: Tuned) -> str:
    """The gains in words, a line a measure."""
    lines = []
    for name, own in tuned.gains.items():
        gain = own["difference"]
        interval = "" if np.isnan(gain.low) else f" ({gain.low:+.3f} to {gain.high:+.3f})"
        lines.append(
            f"{name}: {own['before'].value:.3f} with the present params, {own['after'].value:.3f} tuned, "
            f"{gain.value:+.3f}{interval}"
        )
    if not any(own["difference"].low > 0 for own in tuned.gains.values()):
        lines.append("no gain is shown: no interval of a difference lies above 0")
    return "\n".join(lines)
