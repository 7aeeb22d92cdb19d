"""Groups, their measures and their warnings, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.estimates import Estimate
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.subgroups import Subgroups, box_groups, size_limits, study_groups, too_small
from pneumonia.evaluation.thresholds import Thresholds

BOX = ["study", "x", "y", "width", "height"]
STUDIES = pd.DataFrame(
    [
        ("a", "p", "opacity", 1, "AP", "F", 57.0),
        ("b", "q", "opacity", 1, "PA", "", np.nan),
        ("c", "r", "normal", 0, "AP", "F", 12.0),
        ("d", "r", "not_normal", 0, "AP", "M", 80.0),
        ("e", "s", "not_normal", 0, "PA", "M", 79.9),
    ],
    columns=["study", "person", "category", "target", "view", "sex", "age"],
).assign(rows=300, columns=200)
# a: one box on the image's left, high up; b: three, of which two on its right.
TRUTH = pd.DataFrame(
    [
        ("a", 10, 10, 40, 40),
        ("b", 10, 120, 50, 60),
        ("b", 110, 120, 50, 60),
        ("b", 100, 210, 80, 80),
        ("t", 0, 0, 9, 9),
    ],
    columns=BOX,
)
DETECTIONS = pd.DataFrame(
    [("a", 10, 10, 40, 40, 0.9), ("b", 110, 120, 50, 60, 0.8), ("b", 10, 120, 50, 60, 0.2), ("c", 0, 0, 50, 50, 0.7),
     ("e", 0, 0, 50, 50, 0.3)],
    columns=[*BOX, "score"],
)  # fmt: skip
LIMITS = (2000.0, 4000.0)
NAN = float("nan")
HALF = Thresholds("threshold", 0.5, study=0.5, box=0.5, challenge=0.5, reached=NAN)


@pytest.fixture(scope="module")
def holdout():
    return Labelled(STUDIES, TRUTH)


def model(holdout, detections=DETECTIONS):
    scores = DETECTIONS.groupby("study")["score"].max().reindex(STUDIES["study"]).fillna(0.0)
    return MeasuredModel(Predictions(scores, detections), holdout, [HALF], size_limits=LIMITS)


@pytest.fixture(scope="module")
def table(holdout):
    groups = Subgroups(model(holdout))
    values = {key: Estimate(float(v[0])) for key, v in groups.measures(*measured(groups)).items()}
    return groups.table(values).set_index(["group", "value", "measure"])


def measured(groups):
    once = np.ones((1, 5))
    return once, groups.model.measures(once)


def members(groups, name):
    return {group.value: "".join(STUDIES["study"][group.studies]) for group in groups if group.name == name}


def test_study_groups(holdout):
    groups = study_groups(holdout)
    assert members(groups, "all") == {"all": "abcde"}
    assert members(groups, "view") == {"AP": "acd", "PA": "be"}
    assert members(groups, "sex") == {"F": "ac", "M": "de", "unknown": "b"}
    assert members(groups, "age") == {"0-19": "c", "40-59": "a", "60-79": "e", "80+": "d", "unknown": "b"}
    assert members(groups, "boxes") == {"1": "a", "3+": "b"}
    assert members(groups, "negative") == {"normal": "abc", "not_normal": "abde"}


def test_box_groups(holdout):
    boxes = model(holdout).table.truth_boxes
    groups = {(g.name, g.value): int(g.boxes.sum()) for g in box_groups(holdout, boxes, LIMITS)}
    assert groups == {
        ("size", "small"): 1, ("size", "medium"): 2, ("size", "large"): 1,  # 1600; 3000 twice; 6400
        # Centres across: 30; 35; 135, 140 of 200. The image's left is the person's right.
        ("side", "right"): 2, ("side", "left"): 2,
        # Centres down: 30; 150 twice; 250 of 300.
        ("zone", "upper"): 1, ("zone", "middle"): 2, ("zone", "lower"): 1,
    }  # fmt: skip
    without = Labelled(STUDIES.drop(columns=["rows", "sex", "age"]), TRUTH)
    assert {g.name for g in box_groups(without, boxes, LIMITS)} == {"size"}
    assert {g.name for g in study_groups(without)} == {"all", "view", "boxes", "negative"}


def test_measures(table):
    # Shown from 0.5 on: a's box, b's on the image's right, c's false one.
    estimate = table["estimate"]
    assert estimate["all", "all", "box_sensitivity"] == 2 / 4
    assert estimate["view", "AP", "specificity"] == 1 / 2
    assert estimate["view", "PA", "boxes_per_normal"] == 0.0
    assert estimate["boxes", "3+", "box_sensitivity"] == pytest.approx(1 / 3)
    assert estimate["size", "medium", "box_sensitivity"] == 1 / 2
    assert estimate["size", "large", "box_sensitivity"] == 0.0
    assert estimate["side", "right", "box_sensitivity"] == 1 / 2
    assert estimate["zone", "upper", "box_sensitivity"] == 1.0
    # Medium: a hit at 0.8, false 50 x 50 at 0.7 and 0.3, a hit at 0.2: precision 1 for 51 points, 2/4 for 50.
    assert estimate["size", "medium", "ap50"] == pytest.approx((51 + 50 * 2 / 4) / 101)
    # Positives 0.9, 0.8 against 0.7 (normal), and against 0.0, 0.3 (not normal).
    assert estimate["negative", "normal", "auc"] == 1.0
    assert estimate["negative", "normal", "specificity"] == 0.0
    assert estimate["negative", "not_normal", "specificity"] == 1.0
    assert estimate["negative", "normal", "boxes_per_normal"] == 1.0
    assert estimate["all", "all", "auc"] == 1.0


def test_what_a_group_cannot_have_is_left_out(table):
    assert ("boxes", "1", "specificity") not in table.index
    assert ("sex", "M", "auc") not in table.index
    assert ("sex", "M", "sensitivity") not in table.index
    assert ("negative", "normal", "sensitivity") not in table.index


def test_counts(table):
    counts = table[["studies", "positives", "boxes"]]
    assert counts.loc["view", "AP", "auc"].tolist() == [3, 1, 1]
    assert counts.loc["negative", "not_normal", "auc"].tolist() == [4, 2, 4]
    assert counts.loc["size", "medium", "ap50"].tolist() == [1, 1, 2]
    assert (table["small"] == 1).all()


def test_a_classifier_has_no_boxes(holdout):
    groups = Subgroups(model(holdout, detections=None))
    keys = list(groups.measures(*measured(groups)))
    assert {key.measure for key in keys} == {"auc", "sensitivity", "specificity"}
    assert {key.group for key in keys} == {"all", "view", "sex", "age", "boxes", "negative"}


def test_size_limits_are_those_outside_the_holdout():
    boxes = pd.DataFrame([(s, 0, 0, side, side) for s, side in zip("uvwxh", (10, 20, 30, 40, 999), strict=True)], columns=BOX)  # fmt: skip
    split = pd.DataFrame({"study": list("uvwxh"), "subset": ["train", "validation", "train", "train", "holdout"]})
    assert size_limits(boxes, split) == pytest.approx((400, 900))  # areas 100, 400, 900, 1600
    assert size_limits(boxes, split[split["subset"] == "holdout"]) == (0.0, 0.0)


def test_too_small():
    assert too_small(29, "auc", 0.01)
    assert not too_small(30, "auc", 0.29)
    assert too_small(500, "sensitivity", 0.30)
    assert not too_small(30, "boxes_per_normal", 0.8)  # no share: its width has no such scale
    assert not too_small(30, "sensitivity", float("nan"))


def test_small_counts_persons_and_of_an_auc_those_of_the_rarer_class():
    # 70 studies: 40 positives of 40 persons, 30 negatives of 29.
    persons = [f"p{i}" for i in range(40)] + [f"q{i}" for i in range(29)] + ["q0"]
    ids = [f"s{i:02d}" for i in range(70)]
    studies = pd.DataFrame({"study": ids, "person": persons, "target": [1] * 40 + [0] * 30, "view": "AP"})
    studies["category"] = np.where(studies["target"] == 1, "opacity", "normal")
    labelled = Labelled(studies, pd.DataFrame(columns=BOX))
    scores = Predictions(pd.Series(np.linspace(1, 0, 70), index=ids))
    measured = MeasuredModel(scores, labelled, [HALF], size_limits=LIMITS)
    groups = Subgroups(measured)
    table = groups.table(dict.fromkeys(groups.persons, Estimate(0.5, 0.45, 0.55))).set_index(["group", "measure"])
    small = table["small"].groupby(level=[0, 1]).first()
    assert small["all", "sensitivity"] == 0
    assert small["all", "specificity"] == 1
    assert small["all", "auc"] == 1
