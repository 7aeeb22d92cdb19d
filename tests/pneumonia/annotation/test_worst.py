"""Doubts worked out by hand: labels by confident learning, boxes that nobody labelled or nobody found."""

import numpy as np
import pandas as pd
import pytest

from pneumonia.annotation.worst import WORST, worst

# Mean score of the positive (0.9, 0.8, 0.1): 0.6; of the negative (0.1, 0.2, 0.75): 0.35.
TARGETS = pd.Series({"p1": 1, "p2": 1, "p3": 1, "n1": 0, "n2": 0, "n3": 0})
SCORES = pd.Series({"p1": 0.9, "p2": 0.8, "p3": 0.1, "n1": 0.1, "n2": 0.2, "n3": 0.75})
BOX = ["x", "y", "width", "height"]
BOXES = pd.DataFrame([("p1", 0, 0, 10, 10), ("p1", 50, 50, 10, 10), ("p2", 0, 0, 10, 10), ("p3", 0, 0, 10, 10)],
                     columns=["study", *BOX])  # fmt: skip
DETECTIONS = pd.DataFrame(
    [
        ("p1", 0, 0, 10, 12, 0.9),  # the first box
        ("p1", 50, 50, 10, 10, 0.3),  # the second, but below the threshold
        ("p2", 1, 1, 10, 10, 0.8),
        ("p2", 70, 70, 10, 10, 0.6),  # nobody labelled it
        ("n3", 20, 20, 10, 10, 0.75),
        ("n1", 20, 20, 10, 10, 0.4),  # not confident
    ],
    columns=["study", *BOX, "score"],
)


def test_every_doubt_has_a_row_and_the_greatest_disagreement_comes_first():
    found = worst(TARGETS, SCORES, BOXES, DETECTIONS, box_threshold=0.5)
    rows = [(row.rank, row.study, row.kind, round(row.disagreement, 6)) for row in found.itertuples()]
    assert rows == [
        (1, "p3", "box_not_found", 1.0),
        (1, "p3", "label_positive", 0.9),
        (2, "n3", "label_negative", 0.75),
        (2, "n3", "box_not_labelled", 0.75),
        (3, "p1", "box_not_found", 0.7),
        (4, "p2", "box_not_labelled", 0.6),
    ]
    assert found.loc[5, BOX].tolist() == [70, 70, 10, 10]
    assert np.isnan(found.loc[1, "x"])
    assert list(found.columns) == list(WORST.columns)


def test_a_score_that_reaches_both_means_counts_for_the_nearer_end():
    targets, scores = pd.Series({"a": 1, "b": 0, "c": 1}), pd.Series({"a": 0.1, "b": 0.9, "c": 0.8})
    found = worst(targets, scores, BOXES.iloc[:0], DETECTIONS.iloc[:0], box_threshold=0.5)
    assert found[["study", "kind"]].to_numpy().tolist() == [["a", "label_positive"], ["b", "label_negative"]]


def test_where_all_agree_there_is_nothing():
    none = worst(TARGETS[["p1", "n1"]], SCORES, BOXES[:1], DETECTIONS[:1], box_threshold=0.5)
    assert none.empty
    assert list(none.columns) == list(WORST.columns)


def test_a_study_without_score_is_an_error():
    with pytest.raises(ValueError, match="1 studies have no score, such as p3"):
        worst(TARGETS, SCORES.drop("p3"), BOXES, DETECTIONS, box_threshold=0.5)
