"""Thresholds on studies few enough to choose by hand."""

from __future__ import annotations

import math

import pandas as pd

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.thresholds import choose

BOX = ["study", "x", "y", "width", "height"]
STUDIES = pd.DataFrame({"study": list("abcd"), "target": [1, 1, 0, 0]})
LABELLED = Labelled(STUDIES, pd.DataFrame([("a", 0, 0, 10, 10), ("b", 0, 0, 10, 10)], columns=BOX))
# Both opacities are found, c has a false box that scores between them.
DETECTIONS = pd.DataFrame(
    [("a", 0, 0, 10, 10, 0.9), ("b", 0, 0, 10, 10, 0.4), ("c", 0, 0, 10, 10, 0.6)], columns=[*BOX, "score"]
)
DETECTOR = Predictions(pd.Series({"a": 0.9, "b": 0.4, "c": 0.6, "d": 0.0}), DETECTIONS)


def test_a_detector_has_one_threshold_for_studies_and_boxes():
    chosen = choose(DETECTOR, LABELLED, rule="best_f1", value=0.5)
    # F1 from 0.9 on 2/3, from 0.6 1/2, from 0.4 4/5.
    assert (chosen.study, chosen.box) == (0.4, 0.4)
    # The challenge's metric from 0.9 on: a 1, b 0; from 0.6: a 1, b 0, c 0; from 0.4: a 1, b 1, c 0.
    assert chosen.challenge == 0.4
    assert math.isnan(chosen.reached)


def test_boxes_that_are_not_the_studies_scores_have_a_threshold_of_their_own():
    ensemble = Predictions(pd.Series({"a": 0.8, "b": 0.7, "c": 0.2, "d": 0.1}), DETECTIONS)
    chosen = choose(ensemble, LABELLED, rule="best_f1", value=0.5)
    assert (chosen.study, chosen.box) == (0.7, 0.4)


def test_a_wish_says_what_it_got():
    chosen = choose(DETECTOR, LABELLED, rule="min_sensitivity", value=0.5)
    assert (chosen.study, chosen.reached) == (0.9, 0.5)
    classifier = choose(Predictions(DETECTOR.scores), LABELLED, rule="max_false_positive_rate", value=0.5)
    assert (classifier.study, classifier.reached) == (0.4, 0.5)  # c of c and d
    assert math.isnan(classifier.challenge)
