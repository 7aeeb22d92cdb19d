"""Two models on the same holdout: differences by hand, their intervals, and what cannot be compared."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pneumonia.evaluation.inputs import Inputs, Predictions
from pneumonia.experiments.comparison import as_dict, compare, text

BOX = ["study", "x", "y", "width", "height"]
OPTIONS = {"rule": "threshold", "value": 0.5, "resamples": 1000, "seed": 1}


def inputs(hits, *, holdout=40, model="yolo"):
    """Every second study has a box; the first `hits` of the `holdout` / 2 with one are found, the others score 0.1.

    Negatives score 0.3 with a box of their own. Four further studies validate.
    """
    ids = [f"s{i:02d}" for i in range(holdout)] + ["v0", "v1", "v2", "v3"]
    ill = np.arange(len(ids)) % 2 == 0
    studies = pd.DataFrame(
        {"study": ids, "person": ids, "category": np.where(ill, "opacity", "normal"), "target": ill.astype(int),
         "view": "AP"}
    )  # fmt: skip
    boxes = pd.DataFrame([(s, 0.0, 0.0, 10.0, 10.0) for s, i in zip(ids, ill, strict=True) if i], columns=BOX)
    split = pd.DataFrame({"study": ids, "subset": ["holdout"] * holdout + ["validation"] * 4})
    scores = np.where(ill, 0.1, 0.3)
    scores[: 2 * hits : 2] = 0.9
    detections = pd.DataFrame({"study": ids, "x": 0.0, "y": 0.0, "width": 10.0, "height": 10.0, "score": scores})
    predictions = Predictions(pd.Series(scores, index=ids), detections if model != "classifier" else None)
    return Inputs(studies, boxes, split, {model: predictions})


def by_measure(a, b, first="yolo", second="yolo"):
    return {row.measure: row for row in compare(a, b, first, second, **OPTIONS).differences}


def test_differences_are_second_minus_first():
    rows = by_measure(inputs(hits=8), inputs(hits=12))
    row = rows["sensitivity"]  # 8 and 12 of 20
    assert (row.a, row.b, row.difference) == (0.4, 0.6, pytest.approx(0.2))
    assert rows["auc"].difference == pytest.approx(0.2)  # a positive at 0.9 beats all negatives, one at 0.1 none
    assert rows["specificity"].difference == 0.0
    assert rows["specificity"].better == ""


def test_the_interval_is_that_of_the_paired_difference():
    # Six of 20 positives differ: 0.3 -+ 1.96 sqrt(0.3 x 0.7 / 20). Unpaired it would be sqrt(2) times as wide or more.
    row = by_measure(inputs(hits=8), inputs(hits=14))["sensitivity"]
    assert row.low == pytest.approx(0.1, abs=0.04)
    assert row.high == pytest.approx(0.5, abs=0.04)
    assert row.better == "b"
    assert by_measure(inputs(hits=14), inputs(hits=8))["sensitivity"].better == "a"
    # A model is never better than itself, however wide its own interval is.
    same = by_measure(inputs(hits=8), inputs(hits=8))
    assert all((row.difference, row.low, row.high, row.better) == (0, 0, 0, "") for row in same.values()
               if not math.isnan(row.difference))  # fmt: skip


def test_where_less_is_better():
    rows = by_measure(inputs(hits=2), inputs(hits=19))
    assert rows["brier"].difference < 0
    assert rows["brier"].better == "b"


def test_a_classifier_and_a_detector_share_what_they_both_have():
    rows = by_measure(inputs(hits=8, model="classifier"), inputs(hits=12), "classifier", "yolo")
    assert rows["auc"].difference == pytest.approx(0.2)
    assert "ap50" not in rows


def test_other_holdouts_are_refused():
    with pytest.raises(ValueError, match="the holdouts differ: 2 of 40 studies are only in the first, 0 of 38 only in"):
        by_measure(inputs(8), inputs(8, holdout=38))


def test_other_labels_are_refused():
    one, other = inputs(8), inputs(8)
    moved = other.boxes.copy()
    moved.loc[moved["study"] == "s04", "x"] = 1.0
    with pytest.raises(ValueError, match="the labels of 1 of 40 holdout studies differ, such as s04"):
        by_measure(one, replace(other, boxes=moved))
    turned = other.studies.assign(
        target=np.where(other.studies["study"].isin(["s01", "s03"]), 1, other.studies["target"])
    )
    with pytest.raises(ValueError, match="the labels of 2 of 40 holdout studies differ, such as s01"):
        by_measure(one, replace(other, studies=turned))


def test_other_validation_studies_are_no_matter():
    other = inputs(8)
    split = other.split[other.split["study"] != "v3"]
    assert by_measure(inputs(8), replace(other, split=split))["auc"].difference == 0.0


def test_text_and_json():
    result = compare(inputs(hits=8), inputs(hits=16), "yolo", "yolo", **OPTIONS)
    lines = text(result, "main", "longer").splitlines()
    assert lines[0].startswith("40 holdout studies of 40 persons, 20 positive, 20 boxes.")
    assert lines[2].split() == ["measure", "main", "longer", "difference", "95%", "interval", "better"]
    sensitivity = next(line for line in lines if line.startswith("sensitivity "))
    assert sensitivity.split()[:4] == ["sensitivity", "0.400", "0.800", "+0.400"]
    assert sensitivity.endswith("  longer")
    data = as_dict(result, "main", "longer")
    assert data["measures"]["sensitivity"]["b"] == 0.8
    assert data["measures"]["ap50_small"]["a"] is None
    without = compare(inputs(8), inputs(12), "yolo", "yolo", **OPTIONS | {"resamples": 0})
    assert "nan to nan" not in text(without, "a", "b")
