"""The slider's settings, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from pneumonia.data.subsets import Labelled
from pneumonia.report.slider import matching_box_threshold, settings

STUDIES = pd.DataFrame({"study": list("abcd"), "person": list("abcd"), "target": [1, 1, 0, 0]})
BOXES = pd.DataFrame([("a", 0, 0, 10, 10), ("b", 0, 0, 10, 10)], columns=["study", "x", "y", "width", "height"])
SCORES = pd.Series({"a": 0.8, "b": 0.3, "c": 0.6, "d": 0.0})
DETECTIONS = pd.DataFrame(
    [
        ("a", 0, 0, 10, 10, 0.7), ("a", 50, 0, 10, 10, 0.2), ("b", 0, 0, 10, 10, 0.35),
        ("c", 0, 0, 10, 10, 0.6), ("c", 30, 0, 10, 10, 0.35),
    ],
    columns=["study", "x", "y", "width", "height", "score"],
)  # fmt: skip


def row(table: pd.DataFrame, threshold: float) -> dict[str, float]:
    return table[table["threshold"] == threshold].to_dict("records")[0]


def test_calls_go_by_the_study_threshold_and_boxes_by_theirs():
    table = settings(Labelled(STUDIES, BOXES), SCORES, DETECTIONS, 0.3, 0.35)
    assert table["threshold"].is_monotonic_increasing
    assert table["chosen"].sum() == 1
    assert row(table, 0.3) == {
        "threshold": 0.3, "box_threshold": 0.35, "chosen": 1, "true_positives": 2, "false_positives": 1,
        "false_negatives": 0, "true_negatives": 1, "boxes_found": 2, "normal_boxes": 2,
    }  # fmt: skip
    # Above the chosen pair: 0.35 + (0.7 - 0.3) / (1 - 0.3) x (1 - 0.35) = 0.7214, so not even the box of 0.7 shows.
    high = row(table, 0.7)
    assert high["box_threshold"] == pytest.approx(0.721429, abs=2e-6)
    assert (high["true_positives"], high["false_positives"]) == (1, 0)
    assert (high["boxes_found"], high["normal_boxes"]) == (0, 0)


def test_a_model_without_boxes():
    table = settings(Labelled(STUDIES, BOXES), SCORES, None, 0.5, 0.5)
    chosen = row(table, 0.5)
    assert (chosen["true_positives"], chosen["false_negatives"], chosen["false_positives"]) == (1, 1, 1)
    assert (table["boxes_found"] == 0).all()


def test_thresholds_rise_together_through_the_chosen_pair():
    shown = matching_box_threshold(np.array([0.0, 0.2, 0.4, 0.7]), 0.4, 0.6)
    np.testing.assert_allclose(shown, [0, 0.3, 0.6, 0.8], atol=2e-6)
    np.testing.assert_allclose(matching_box_threshold(np.array([0.1, 0.9]), 0.5, 0.5), [0.1, 0.9], atol=2e-6)
    # A rule that calls nothing chooses a threshold just above the highest score.
    assert matching_box_threshold(np.array([1.000001]), 1.000001, 1.000001).tolist() == [1.000001]
