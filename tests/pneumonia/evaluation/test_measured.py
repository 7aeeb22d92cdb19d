"""A model whose studies have thresholds of their own, by hand; with one set for all see test_evaluate."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.tables import Operating
from pneumonia.evaluation.thresholds import Thresholds

BOX = ["study", "x", "y", "width", "height"]
# a and b show an opacity, c and d do not; a and c have the first set of thresholds, b and d the second.
LABELLED = Labelled(
    pd.DataFrame({"study": list("abcd"), "target": [1, 1, 0, 0], "view": "AP"}),
    pd.DataFrame([("a", 0, 0, 10, 10), ("b", 0, 0, 10, 10)], columns=BOX),
)
SCORES = pd.Series({"a": 0.5, "b": 0.5, "c": 0.3, "d": 0.8})
DETECTIONS = pd.DataFrame([(study, 0, 0, 10, 10, score) for study, score in SCORES.items()], columns=[*BOX, "score"])
SETS = [
    Thresholds("best_f1", 0.5, study=0.4, box=0.4, challenge=0.3, reached=math.nan),
    Thresholds("best_f1", 0.5, study=0.6, box=0.6, challenge=0.5, reached=math.nan),
]


def model(detections=DETECTIONS, **options):
    return MeasuredModel(Predictions(SCORES, detections), LABELLED, SETS, np.array([0, 1, 0, 1]), **options)


def values(own, weights=(1.0, 1.0, 1.0, 1.0), wanted=None):
    return {name: float(value[0]) for name, value in own.measures(np.array([weights]), wanted).items()}


def test_each_study_is_measured_at_its_own_thresholds():
    own = model()
    # Called: a from 0.4, d from 0.6; b with 0.5 is not.
    assert own.called.tolist() == [True, False, False, True]
    measured = values(own)
    assert (measured["sensitivity"], measured["specificity"], measured["precision"]) == (0.5, 0.5, 0.5)
    # Shown: the boxes of a (found) and d (false).
    assert (measured["box_sensitivity"], measured["box_precision"], measured["boxes_per_normal"]) == (0.5, 0.5, 0.5)
    # The challenge's metric keeps a's and c's from 0.3 on, b's and d's from 0.5: a 1, b 1, c 0, d 0.
    assert measured["challenge"] == 0.5
    # Of four (positive, negative) pairs those with c are ranked right, those with d wrong.
    assert measured["auc"] == 0.5


def test_only_what_is_wanted():
    assert values(model(), wanted=["f1", "ap50"]).keys() == {"f1", "ap50"}
    # The first detection is d's, false; then two hits: precision 1/2 and 2/3, the best from any recall on is 2/3.
    assert values(model(), wanted=["ap50"])["ap50"] == pytest.approx(2 / 3)
    assert values(model(None), wanted=["ap50", "sensitivity"]) == {"sensitivity": 0.5}


def test_sizes_need_limits():
    assert "ap50_small" not in values(model())
    assert values(model(size_limits=(0.0, 0.0)))["ap50_large"] == pytest.approx(2 / 3)


def test_one_row_of_chosen_thresholds_needs_one_set():
    with pytest.raises(ValueError, match="too many values to unpack"):
        Operating(model())
