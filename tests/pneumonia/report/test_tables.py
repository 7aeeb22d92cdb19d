"""Rows and words of the report's tables."""

import math

import pandas as pd

from pneumonia.report import tables

SUBGROUPS = pd.DataFrame(
    [
        ("yolo", "all", "all", "sensitivity", 200, 45, 71, 0.7, 0.6, 0.8, 0),
        ("yolo", "view", "AP", "sensitivity", 91, 34, 54, 0.65, 0.55, 0.75, 0),
        ("yolo", "sex", "F", "sensitivity", 80, 30, 40, 0.6, 0.5, 0.7, 0),
        ("yolo", "age", "80+", "sensitivity", 3, 1, 1, 0.0, 0.0, 0.0, 1),
        ("yolo", "negative", "not_normal", "specificity", 134, 45, 71, 0.9, 0.85, 0.95, 0),
        ("yolo", "size", "small", "box_sensitivity", 20, 20, 23, math.nan, math.nan, math.nan, 1),
        ("classifier", "view", "AP", "sensitivity", 91, 34, 54, 0.1, 0.05, 0.15, 0),
    ],
    columns=[
        "model", "group", "value", "measure", "studies", "positives", "boxes", "estimate", "low", "high", "small",
    ],
)  # fmt: skip


def test_forests_have_a_row_a_group_and_mark_the_small():
    sensitivity, specificity = tables.forests(SUBGROUPS, "yolo")  # opacities found: nothing known, left out
    assert (sensitivity.title, sensitivity.overall) == ("Sensitivity", "0.70")
    rows = [(row.label, row.basis, row.text, row.small) for row in sensitivity.rows]
    assert rows == [
        ("View: AP", "34 studies", "0.65 (0.55 to 0.75)", False),
        ("Sex: women", "30 studies", "0.60 (0.50 to 0.70)", False),
        ("Age: 80+", "1 study", "0.00 (0.00 to 0.00)", True),
    ]
    assert (specificity.rows[0].label, specificity.rows[0].basis) == ("Against: other findings", "89 studies")
    assert specificity.overall == "-"
    assert tables.forests(pd.DataFrame(), "yolo") == []


def test_the_weakest_group_is_one_large_enough():
    assert tables.weakest(SUBGROUPS, "yolo", "sensitivity") == "Sex: women: 60% (50% to 70%)"
    assert tables.weakest(SUBGROUPS, "yolo", "box_sensitivity") == ""
    assert tables.weakest(pd.DataFrame(), "yolo", "sensitivity") == ""
    no_worse = SUBGROUPS[SUBGROUPS["small"].eq(1) | SUBGROUPS["group"].eq("all")]
    better = SUBGROUPS[SUBGROUPS["value"].eq("AP")].assign(estimate=0.78)
    assert tables.weakest(pd.concat([no_worse, better]), "yolo", "sensitivity") == ""


def test_comparisons_say_who_is_better():
    evaluation = {
        "ensemble_minus_yolo": {
            "auc": 0.02,
            "auc_low": 0.01,
            "auc_high": 0.03,
            "ap50": 0,
            "ap50_low": -0.1,
            "ap50_high": 0.1,
        },
        "ensemble_minus_classifier": {"auc": -0.1, "auc_low": -0.2, "auc_high": -0.05},
        "ensemble_minus_maskrcnn": {"auc": 0.1, "auc_low": None, "auc_high": None},
    }
    assert tables.comparisons(evaluation) == [
        ("Mask R-CNN", "AUC", "+0.100 (- to -)", "no interval"),
        ("YOLOv3", "AUC", "+0.020 (+0.010 to +0.030)", "the ensemble is better"),
        ("YOLOv3", "AP at IoU 0.5", "+0.000 (-0.100 to +0.100)", "no difference shown"),
        ("Classifier", "AUC", "-0.100 (-0.200 to -0.050)", "Classifier is better"),
    ]


def test_a_matrix_gives_counts_and_shares_of_the_row():
    row = {"true_positives": 3, "false_negatives": 1, "false_positives": 0, "true_negatives": 0}
    assert tables.matrix(row) == [
        ("no opacity", [("no opacity", 0, 0.0), ("opacity", 0, 0.0)]),
        ("opacity", [("no opacity", 1, 0.25), ("opacity", 3, 0.75)]),
    ]


def test_what_cleaning_did():
    clean = {"rejected": {"total": 4, "colour": 0, "no_pixels": 1, "unreadable": 3}, "mended": {"odd_age": 2, "x_y": 0}}
    assert tables.left_out(clean) == [("file damaged or not decodable", 3), ("no image in the file", 1)]
    assert tables.mended(clean) == [("age that cannot be, taken as unknown", 2)]


def test_every_reason_has_words():
    from pneumonia.rejection import Reason

    assert set(tables.REASONS) == {str(reason) for reason in Reason}


def test_numbers_as_words():
    assert (tables.percent(0.834), tables.percent(None), tables.percent(float("nan"))) == ("83%", "-", "-")
    assert tables.percent(0.125) == "13%"  # Python's own rounding would say 12
    assert (tables.number(0.834), tables.number(0.8346, 3), tables.number(None)) == ("0.83", "0.835", "-")
    assert tables.interval({"auc_low": 0.781, "auc_high": 0.879}, "auc") == "0.78 to 0.88"
    assert tables.interval({"auc_low": None, "auc_high": None}, "auc") == ""
