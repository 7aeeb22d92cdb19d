"""The table of results: what stands where, with intervals or without."""

from pneumonia.evaluation.results import cell, table

COUNTS = {"studies": 20, "persons": 15, "positives": 5, "boxes": 7}
EVALUATION = {
    "classifier": {"auc": 0.844, "auc_low": 0.77, "auc_high": 0.896},
    "yolo": {"auc": 0.9, "auc_low": None, "auc_high": None, "ap50": 0.5, "froc_0125": 0.25},
    "holdout": COUNTS,
}


def test_a_cell_has_its_interval_where_there_is_one():
    assert cell({"a": 0.844, "a_low": 0.77, "a_high": 0.896}, "a") == "0.84 (0.77 to 0.90)"
    assert cell({"a": 1.0, "a_low": 1.0, "a_high": 1.0}, "a") == "1.00"
    assert cell({"a": 0.5}, "a") == "0.50"
    assert cell({"a": None}, "a") == cell({}, "a") == "–"


def test_columns_are_aligned_and_empty_rows_left_out():
    assert table(EVALUATION).splitlines() == [
        "holdout                          Classifier           YOLOv3",
        "AUC                              0.84 (0.77 to 0.90)  0.90",
        "AP at IoU 0.5                    –                    0.50",
        "FROC at 1/8 false boxes a study  –                    0.25",
        "",
        "20 studies of 15 persons, 5 positive, 7 boxes; in brackets 95% intervals",
    ]


def test_markdown():
    lines = table(EVALUATION, markdown=True).splitlines()
    assert lines[:4] == [
        "| holdout | Classifier | YOLOv3 |",
        "|---|---|---|",
        "| AUC | 0.84 (0.77 to 0.90) | 0.90 |",
        "| AP at IoU 0.5 | – | 0.50 |",
    ]
