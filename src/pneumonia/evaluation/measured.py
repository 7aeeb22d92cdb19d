"""One model held against the truth: its measures under any weighting of the studies.

No study has a say in the thresholds it is measured with. Those of the holdout are one set, chosen on validation; in a
cross-validation every fold has a set of its own, chosen on the other folds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from keraskit.average_precision import COCO_IOUS
from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.thresholds import Thresholds
from pneumonia.metrics import challenge
from pneumonia.metrics.calibration import calibration_error
from pneumonia.metrics.calls import call_pairs
from pneumonia.metrics.froc import RATES
from pneumonia.metrics.image_level import Auc
from pneumonia.metrics.matching import BOX_IOU, BoxTable, assigned, box_table
from pneumonia.metrics.ranking import BoxRanking, coco_ranked, size_ranked
from pneumonia.metrics.ratios import Array, Pair, Ratios, mean_pair
from pneumonia.schema.data import VIEWS
from pneumonia.schema.results import SIZES

FROC_KEYS = tuple(f"froc_{rate:g}".replace("0.", "0") for rate in RATES)  # froc_0125, froc_025 ... froc_8
CHALLENGE_STEPS = tuple(np.arange(1, 20) / 20)  # score thresholds 0.05, 0.10 ... 0.95


class MeasuredModel:
    """One model on studies with their truth, each study with the thresholds that are its.

    Arguments:
        predictions: of all studies of `labelled`; others are ignored.
        labelled: the studies that are measured.
        thresholds: one set or several, each chosen on other studies than those it is used on.
        which: int `[N]`, the place in `thresholds` of each study's set; the first where it is left out.
        size_limits: areas that part small from medium and medium from large truth boxes, in pixels of the original image,
            squared, see `evaluation.subgroups.size_limits`; without them there is no AP by size.

    Attributes:
        targets, scores: of the studies, `[N]`.
        raw: the scores before they were calibrated, `[N]`; None: they were not.
        called: bool `[N]`, whether a study is called positive at its threshold.
        table: boxes and detections ready to match; None for a classifier.
        threshold, box_threshold, challenge_threshold: each study's, float `[N]`, see `Thresholds`.

    Raises:
        ValueError: a study has no score.
    """

    def __init__(
        self,
        predictions: Predictions,
        labelled: Labelled,
        thresholds: Sequence[Thresholds],
        which: NDArray[np.int64] | None = None,
        *,
        size_limits: tuple[float, float] | None = None,
    ) -> None:
        self.labelled = labelled
        self.thresholds = tuple(thresholds)
        self.size_limits = size_limits
        self.targets = labelled.targets
        self.scores = labelled.scores(predictions.scores)
        self.raw = None if predictions.raw is None else labelled.scores(predictions.raw)
        place = np.zeros(len(labelled.ids), np.int64) if which is None else which
        sets = np.array([(own.study, own.box, own.challenge) for own in thresholds])
        self.threshold, self.box_threshold, self.challenge_threshold = sets[place].T
        self.called = self.scores >= self.threshold
        self.table: BoxTable | None = None
        if predictions.detections is None:
            return
        self.table = box_table(labelled.ids, predictions.detections, labelled.boxes)
        edges = () if size_limits is None else pairwise((0.0, *size_limits, np.inf))
        sizes = [size_ranked(self.table, low, high) for low, high in edges]
        self._ranking = BoxRanking([coco_ranked(self.table), *sizes], RATES)

    def measures(self, weights: Array, wanted: Collection[str] | None = None) -> dict[str, Array]:
        """weights `[B, N]`, how often each study counts -> name -> `[B]`; NaN without a denominator.

        Arguments:
            wanted: names of measures, to spend no time on others; all where it is left out.
        """

        def asked(name: str) -> bool:
            return wanted is None or name in wanted

        result = {name: auc(weights) for name, auc in self._aucs.items() if asked(name)}
        result |= self._ratios(weights)
        if asked("ece"):
            result["ece"] = calibration_error(self.scores, self.targets, weights)
        if self.raw is not None and asked("ece_raw"):
            result["ece_raw"] = calibration_error(self.raw, self.targets, weights)
        if self.table is not None:
            if asked("challenge_mean"):
                result["challenge_mean"] = np.mean(list(self._challenges(weights).values()), axis=0)
            result |= self._of_boxes(weights)
        return {name: values for name, values in result.items() if asked(name)}

    def pairs_at(self, threshold: float | Array, box_threshold: float | Array) -> dict[str, Pair]:
        """The measures of the calls and, of a detector, of the shown boxes, as pairs of sums over the studies.

        Arguments:
            threshold, box_threshold: one for all studies, or one a study, `[N]`.
        """
        result = call_pairs(self.scores >= threshold, self.targets)
        if self.table is not None:
            found = self.truths_found(box_threshold).sum(axis=1).astype(np.float64)
            shown = self.table.count(box_threshold).astype(np.float64)
            normal = (self.targets == 0).astype(np.float64)
            result["box_sensitivity"] = (found, self.table.truths.astype(np.float64))
            result["box_precision"] = (found, shown)
            result["boxes_per_normal"] = (shown * normal, normal)
        return result

    def truths_found(self, box_threshold: float | Array) -> NDArray[np.bool_]:
        """bool `[N, M]`: the truth boxes found at IoU 0.5 by a box of at least this score, one or one a study `[N]`."""
        assert self.table is not None
        result = np.zeros(self.table.truth_boxes.shape[:2], bool)
        hit = (self._places >= 0) & self.table.reaches(box_threshold)
        result[self.table.study[hit], self._places[hit]] = True
        return result

    def _of_boxes(self, weights: Array) -> dict[str, Array]:
        """Average precision, of all overlaps and of the sizes, and FROC."""
        sizes = () if self.size_limits is None else SIZES
        levels, of_sizes, froc = np.split(
            self._ranking.measure(weights), [len(COCO_IOUS), len(COCO_IOUS) + len(sizes)], axis=1
        )
        result = {"ap50": levels[:, 0], "ap": levels.mean(axis=1)}
        result |= {f"ap50_{name}": values for name, values in zip(sizes, of_sizes.T, strict=True)}
        return result | dict(zip(FROC_KEYS, froc.T, strict=True)) | {"froc_mean": froc.mean(axis=1)}

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        assert self.table is not None
        return assigned(self.table, [BOX_IOU], strict=False)[0]

    @cached_property
    def _aucs(self) -> dict[str, Auc]:
        """Of all studies and of those of each view."""
        view = self.labelled.studies["view"].to_numpy()
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
