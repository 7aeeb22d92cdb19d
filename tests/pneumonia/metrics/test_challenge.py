"""The challenge's metric: hand-worked cases, and 400 cases of independent implementations."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from tests.places import DATA

from pneumonia.metrics.challenge import best_threshold, study_scores, sweep
from pneumonia.metrics.matching import box_table

BOX = ["study", "x", "y", "width", "height"]


def table(truth, detections, studies=None):
    truth, detections = pd.DataFrame(truth, columns=BOX), pd.DataFrame(detections, columns=[*BOX, "score"])
    studies = studies or sorted(set(truth["study"]) | set(detections["study"]))
    return box_table(studies, detections, truth)


def metric(boxes, threshold=0.0):
    return np.nanmean(study_scores(boxes, threshold))


@pytest.fixture(scope="module")
def oracle():
    data = json.loads((DATA / "challenge_metric.json").read_text())
    truth, detections, scores = [], [], []
    for number, case in enumerate(data["cases"]):
        study = f"s{number:03d}"
        truth += [(study, *box) for box in case["truth"]]
        detections += [(study, *box, score) for score, *box in case["predictions"]]
        scores.append(np.nan if case["score"] is None else case["score"])
    return table(truth, detections, [f"s{i:03d}" for i in range(len(scores))]), np.array(scores), data["mean_of_scored"]


def test_agrees_with_the_oracle_on_every_study(oracle):
    boxes, scores, mean = oracle
    assert len(scores) == 400
    np.testing.assert_allclose(study_scores(boxes), scores, atol=1e-6, equal_nan=True)
    assert metric(boxes) == pytest.approx(mean, abs=1e-6)


def test_one_perfect_box_scores_one():
    assert metric(table([("a", 0, 0, 10, 10)], [("a", 0, 0, 10, 10, 0.9)])) == 1.0


def test_overlap_of_055_passes_three_of_eight_thresholds():
    # 10 x 20 against 10 x 11: IoU 110 / 200 = 0.55, above 0.40, 0.45, 0.50; not above 0.55 itself.
    assert metric(table([("a", 0, 0, 10, 20)], [("a", 0, 0, 10, 11, 0.9)])) == pytest.approx(3 / 8)


def test_a_false_box_beside_a_hit_halves_the_score():
    boxes = table([("a", 0, 0, 10, 10)], [("a", 0, 0, 10, 10, 0.9), ("a", 50, 50, 10, 10, 0.8)])
    assert metric(boxes) == 0.5


def test_empty_cases():
    truth = [("miss", 0, 0, 10, 10)]
    boxes = table(truth, [("false", 0, 0, 9, 9, 0.5)], ["false", "miss", "quiet"])
    assert study_scores(boxes)[:2].tolist() == [0.0, 0.0]
    assert math.isnan(study_scores(boxes)[2])
    assert metric(boxes) == 0.0


def test_the_threshold_drops_boxes_and_forgives_quiet_studies():
    boxes = table([("a", 0, 0, 10, 10)], [("a", 0, 0, 10, 10, 0.9), ("b", 0, 0, 10, 10, 0.3)])
    assert metric(boxes, 0.3) == 0.5  # b counts, with 0
    assert metric(boxes, 0.31) == 1.0  # b is left out
    assert best_threshold(boxes) == (0.9, 1.0)


def test_each_study_may_have_its_own_threshold():
    # a keeps its hit at 0.9 and loses the false box; b's false box at 0.3 reaches 0.3; c's is below 0.31: left out.
    boxes = table(
        [("a", 0, 0, 10, 10)],
        [("a", 0, 0, 10, 10, 0.9), ("a", 50, 50, 9, 9, 0.8), ("b", 0, 0, 9, 9, 0.3), ("c", 0, 0, 9, 9, 0.3)],
    )
    scores = study_scores(boxes, np.array([0.9, 0.3, 0.31]))
    assert scores[:2].tolist() == [1.0, 0.0]
    assert math.isnan(scores[2])


def test_confidence_decides_who_matches_first():
    # The better-placed box scores lower and comes too late: 0.6-overlap takes the truth at every threshold below 0.6.
    boxes = table([("a", 0, 0, 10, 10)], [("a", 0, 0, 10, 6, 0.9), ("a", 0, 0, 10, 10, 0.8)])
    # Each threshold has one TP and one FP: 1 / 2 throughout (from 0.60 on the second box takes the truth).
    assert metric(boxes) == 0.5


def test_sweep_equals_one_evaluation_a_threshold(oracle):
    boxes, _, _ = oracle
    thresholds, values = sweep(boxes)
    assert (np.diff(thresholds) < 0).all()
    for i in range(0, len(thresholds), 29):
        assert values[i] == pytest.approx(metric(boxes, thresholds[i]), abs=1e-12)
    threshold, value = best_threshold(boxes)
    assert value == pytest.approx(values.max())
    assert metric(boxes, threshold) == pytest.approx(value)


def test_no_detection_at_all():
    boxes = table([("a", 0, 0, 10, 10)], [])
    assert metric(boxes) == 0.0
    assert sweep(boxes)[0].tolist() == []
    assert best_threshold(boxes)[0] == 0.5
