"""One model held against the truth of the holdout: its thresholds, and its measures under any weighting of the studies.

Every threshold is chosen on validation. A study is called positive where its score reaches `threshold`; a box is shown
where its score reaches `box_threshold`. For a detector, whose study score is its highest box's, the two are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keraskit.boxes.average_precision import COCO_IOUS
from pneumonia.data.subsets import Labelled
from pneumonia.metrics import challenge, operating_point
from pneumonia.metrics.calibration import calibration_error
from pneumonia.metrics.calls import call_pairs
from pneumonia.metrics.froc import RATES
from pneumonia.metrics.image_level import Auc
from pneumonia.metrics.matching import BOX_IOU, BoxTable, assigned, box_table
from pneumonia.metrics.ranking import BoxRanking, coco_ranked, size_ranked
from pneumonia.metrics.ratios import Array, Pair, Ratios, mean_pair
from pneumonia.schema.results import SIZES
from pneumonia.schema.values import VIEWS

FROC_KEYS = tuple(f"froc_{rate:g}".replace("0.", "0") for rate in RATES)  # froc_0125, froc_025 ... froc_8
CHALLENGE_STEPS = tuple(np.arange(1, 20) / 20)  # score thresholds 0.05, 0.10 ... 0.95


@dataclass(frozen=True)
class Predictions:
    """What one model says: `scores` (study -> 0 to 1) and, of a detector, `detections` (study, x, y, ..., score)."""

    scores: pd.Series
    detections: pd.DataFrame | None = None


class MeasuredModel:
    """predictions: of all studies of both subsets. rule, value: see `metrics.operating_point.choose`.

    size_limits: areas that part small from medium and medium from large truth boxes, see `pneumonia.evaluation.subgroups.size_limits`.
    Raises ValueError where a study has no score.
    """

    def __init__(
        self,
        predictions: Predictions,
        validation: Labelled,
        holdout: Labelled,
        *,
        rule: str,
        value: float,
        size_limits: tuple[float, float],
    ) -> None:
        self.holdout = holdout
        self.size_limits = size_limits
        self.targets = holdout.targets
        self.scores = holdout.scores(predictions.scores)
        own = validation.scores(predictions.scores)
        self.rule, self.value = rule, value
        self.threshold = self.box_threshold = operating_point.choose(own, validation.targets, rule, value)
        self._calls = [  # of validation and of holdout
            (scores >= self.threshold, targets)
            for scores, targets in ((own, validation.targets), (self.scores, self.targets))
        ]
        self.table: BoxTable | None = None
        if predictions.detections is None:
            return
        self.table = box_table(holdout.ids, predictions.detections, holdout.boxes)
        table = box_table(validation.ids, predictions.detections, validation.boxes)
        # The ensemble's study score is not its highest box's: its boxes get a threshold of their own, by the same rule.
        if not np.array_equal(table.highest(), own):
            self.box_threshold = operating_point.choose(table.highest(), validation.targets, rule, value)
        self.challenge_threshold, _ = challenge.best_threshold(table)
        edges = pairwise((0.0, *size_limits, np.inf))
        sizes = [size_ranked(self.table, low, high) for low, high in edges]
        self._ranking = BoxRanking([coco_ranked(self.table), *sizes], RATES)

    def constants(self) -> dict[str, float]:
        """What no resample changes: the thresholds, what the rule wanted of the studies, and what it got."""
        result = {"threshold": self.threshold}
        if self.rule in operating_point.LOOKS_AT:
            validation, holdout = (operating_point.got(*calls, self.rule) for calls in self._calls)
            result |= {"wanted": self.value, "reached_validation": validation, "reached_holdout": holdout}
        if self.table is not None:
            result |= {"box_threshold": self.box_threshold, "challenge_threshold": self.challenge_threshold}
        return result

    def measures(self, weights: Array) -> dict[str, Array]:
        """weights `[B, N]`, how often each holdout study counts -> name -> `[B]`; NaN without a denominator."""
        result = {name: auc(weights) for name, auc in self._aucs.items()}
        result |= self._ratios(weights)
        result["ece"] = calibration_error(self.scores, self.targets, weights)
        if self.table is not None:
            result["challenge_mean"] = np.mean(list(self._challenges(weights).values()), axis=0)
            levels, sizes, froc = np.split(
                self._ranking.measure(weights), [len(COCO_IOUS), len(COCO_IOUS) + len(SIZES)], axis=1
            )
            result["ap50"], result["ap"] = levels[:, 0], levels.mean(axis=1)
            result |= {f"ap50_{name}": values for name, values in zip(SIZES, sizes.T, strict=True)}
            result |= dict(zip(FROC_KEYS, froc.T, strict=True))
            result["froc_mean"] = froc.mean(axis=1)
        return result

    def pairs_at(self, threshold: float, box_threshold: float) -> dict[str, Pair]:
        """The measures of the calls and, of a detector, of the shown boxes, as pairs of sums over the studies."""
        result = call_pairs(self.scores >= threshold, self.targets)
        if self.table is not None:
            found = self.truths_found(box_threshold).sum(axis=1).astype(np.float64)
            shown = self.table.count(box_threshold).astype(np.float64)
            normal = (self.targets == 0).astype(np.float64)
            result["box_sensitivity"] = (found, self.table.truths.astype(np.float64))
            result["box_precision"] = (found, shown)
            result["boxes_per_normal"] = (shown * normal, normal)
        return result

    def truths_found(self, box_threshold: float) -> NDArray[np.bool_]:
        """bool `[N, M]`: the truth boxes found at IoU 0.5 by a box of at least this score."""
        assert self.table is not None
        result = np.zeros(self.table.truth_boxes.shape[:2], bool)
        hit = (self._places >= 0) & (self.table.score >= box_threshold)
        result[self.table.study[hit], self._places[hit]] = True
        return result

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        assert self.table is not None
        return assigned(self.table, [BOX_IOU], strict=False)[0]

    @cached_property
    def _aucs(self) -> dict[str, Auc]:
        """Of all studies and of those of each view."""
        view = self.holdout.studies["view"].to_numpy()
        members = {"auc": None} | {f"auc_{name.lower()}": view == name for name in VIEWS if (view == name).any()}
        return {name: Auc(self.scores, self.targets, studies) for name, studies in members.items()}

    @cached_property
    def _ratios(self) -> Ratios[str]:
        result = self.pairs_at(self.threshold, self.box_threshold)
        result["brier"] = mean_pair((self.scores - self.targets) ** 2)
        if self.table is not None:
            result["challenge"] = mean_pair(challenge.study_scores(self.table, self.challenge_threshold))
        return Ratios(result)

    @cached_property
    def _challenges(self) -> Ratios[float]:
        assert self.table is not None
        scores = challenge.study_scores_at(self.table, CHALLENGE_STEPS)
        return Ratios(dict(zip(CHALLENGE_STEPS, map(mean_pair, scores), strict=True)))
