"""The thresholds of a model: chosen by a rule on some studies, to be used on others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.inputs import Predictions
from pneumonia.metrics import challenge, operating_point
from pneumonia.metrics.matching import box_table


@dataclass(frozen=True)
class Thresholds:
    """One set of a model's thresholds, all of them scores, and how it was chosen.

    Attributes:
        rule, value: as of `metrics.operating_point.choose`.
        study: a study is called positive where its score reaches it.
        box: a box is shown where its score reaches it. For a detector, whose study score is its highest box's, it is
            `study`; so it is for a classifier, which has no use for it.
        challenge: the boxes that reach it make most of the challenge's metric; NaN for a classifier.
        reached: what a rule with a wish (`metrics.operating_point.LOOKS_AT`) got where it chose; NaN for other rules.
    """

    rule: str
    value: float
    study: float
    box: float
    challenge: float
    reached: float


def choose(predictions: Predictions, labelled: Labelled, *, rule: str, value: float) -> Thresholds:
    """The thresholds that `rule` chooses on these studies.

    Arguments:
        predictions: of all studies of `labelled`; others are ignored.
        labelled: studies with their truth.
        rule, value: as of `metrics.operating_point.choose`.

    Raises:
        ValueError: a study has no score, or the rule lacks the studies it needs.
    """
    scores, targets = labelled.scores(predictions.scores), labelled.targets
    study = box = operating_point.choose(scores, targets, rule, value)
    best, reached = float("nan"), float("nan")
    if rule in operating_point.LOOKS_AT:
        reached = operating_point.got(scores >= study, targets, rule)
    if predictions.detections is not None:
        table = box_table(labelled.ids, predictions.detections, labelled.boxes)
        # The ensemble's study score is not its highest box's: its boxes get a threshold of their own, by the same rule.
        if not np.array_equal(table.highest(), scores):
            box = operating_point.choose(table.highest(), targets, rule, value)
        best, _ = challenge.best_threshold(table)
    return Thresholds(rule, value, study, box, best, reached)
