"""The challenge's CSV: what is written, and what is refused."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumonia.prediction.submission import (
    SubmissionError,
    best_threshold,
    build,
    check,
    parse,
    summary,
    write,
)

COLUMNS = ["study", "x", "y", "width", "height", "score"]
SIZES = pd.DataFrame({"columns": [1024, 600], "rows": [1024, 800]}, index=["a", "b"])


def detections(*rows):
    return pd.DataFrame(list(rows), columns=COLUMNS)


def table(*strings, ids=("a", "b")):
    return pd.DataFrame({"patientId": list(ids), "PredictionString": list(strings)})


def test_every_id_has_a_row_and_the_best_boxes_come_first():
    boxes = detections(
        ("a", 10, 20, 30, 40, 0.5), ("a", 1, 2, 3, 4.25, 0.75), ("a", 9, 9, 9, 9, 0.1), ("z", 0, 0, 9, 9, 1)
    )
    result = build(boxes, ["a", "b"], SIZES, threshold=0.2, max_boxes=4)
    assert result["patientId"].tolist() == ["a", "b"]
    assert result["PredictionString"].tolist() == [
        "0.750000 1.0 2.0 3.0 4.2 0.500000 10.0 20.0 30.0 40.0",
        "",
    ]
    check(result, ["a", "b"], SIZES)
    assert summary(result, 0.2) == {"threshold": 0.2, "studies": 2, "studies_with_boxes": 1, "boxes": 2}


def test_only_the_best_boxes_are_kept():
    boxes = detections(*[("a", 10 * i, 0, 9, 9, 0.1 * i) for i in range(1, 8)])
    assert build(boxes, ["a"], SIZES, threshold=0, max_boxes=2)["PredictionString"][0].split()[::5] == [
        "0.700000",
        "0.600000",
    ]


def test_boxes_are_cut_at_the_border_and_dropped_outside():
    boxes = detections(("b", -5, 790, 20, 20, 0.9), ("b", 600, 0, 20, 20, 0.8))
    assert build(boxes, ["b"], SIZES, threshold=0, max_boxes=4)["PredictionString"][0] == "0.900000 0.0 790.0 15.0 10.0"


@given(
    st.lists(
        st.tuples(
            st.floats(-50, 700), st.floats(-50, 900), st.floats(0.01, 700), st.floats(0.01, 900), st.floats(0, 1)
        ),
        max_size=8,
    )
)
def test_whatever_is_built_passes_the_check(rows):
    boxes = detections(*[("b", *row) for row in rows])
    check(build(boxes, ["a", "b"], SIZES, threshold=0.1, max_boxes=4), ["b", "a"], SIZES)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"patientId": ["a"], "prediction": [""]}), "columns"),
        (table("", ids=("a",)), "1 ids are missing and 0 are unknown: no row for b"),
        (table("", "", "", ids=("a", "b", "c")), "c is no test id"),
        (table("", "", "", ids=("a", "b", "b")), "b comes twice"),
        (table("0.5 1 2 3", ""), "a: groups of five numbers are wanted, got 4 numbers"),
        (table("0.5 1 2 3 x", ""), "a: numbers are wanted"),
        (table("0.5 1 2 nan 4", ""), "a: finite numbers are wanted"),
        (table("1.5 1 2 3 4", ""), "a: a confidence from 0 to 1 is wanted, got 1.5"),
        (table("-0.1 1 2 3 4", ""), "a: a confidence from 0 to 1 is wanted"),
        (table("0.5 1 2 0 4", ""), "a: a box with an area is wanted"),
        (table("0.5 -1 2 3 4", ""), "a: a box inside the image of 1024 x 1024 is wanted"),
        (table("", "0.5 590 0 11 10"), "b: a box inside the image of 600 x 800 is wanted"),
        (table("", "0.5 0 795 5 6"), "b: a box inside the image"),
        (table("", float("nan")), "b: a string is wanted"),
    ],
)
def test_malformed_submissions_are_refused(frame, message):
    with pytest.raises(SubmissionError, match=message):
        check(frame, ["a", "b"], SIZES)


def test_parse():
    assert parse("") == []
    assert parse("0.5 1 2 3 4.5 1 0 0 9 9") == [(0.5, 1, 2, 3, 4.5), (1, 0, 0, 9, 9)]


def test_a_sample_without_ids_is_refused():
    with pytest.raises(SubmissionError, match="one test id or more is wanted, got none"):
        check(table(ids=()), [], SIZES)


def test_written_as_the_challenge_reads_it(tmp_path):
    write(tmp_path / "submission.csv", table("0.500000 1.0 2.0 3.0 4.0", ""))
    assert (tmp_path / "submission.csv").read_text() == "patientId,PredictionString\na,0.500000 1.0 2.0 3.0 4.0\nb,\n"


def test_the_threshold_is_the_best_of_validation():
    boxes = detections(("a", 0, 0, 10, 10, 0.9), ("b", 0, 0, 10, 10, 0.4))
    truth = detections(("a", 0, 0, 10, 10, 0.0)).drop(columns="score")
    assert best_threshold(boxes, truth, ["a", "b"], 4) == 0.9
