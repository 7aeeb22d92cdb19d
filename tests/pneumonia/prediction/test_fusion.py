"""Fusion of detections, against cases worked out by hand."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumonia.prediction.fusion import fuse

COLUMNS = ["study", "x", "y", "width", "height", "score"]
DEFAULTS = {
    "strategy": "wbf",
    "iou": 0.4,
    "weights": {"maskrcnn": 1.0, "yolo": 1.0},
    "thresholds": {"maskrcnn": 0.0, "yolo": 0.0},
    "gate": {"mode": "none", "threshold": 0.2, "power": 0.5},
    "shrink": 1.0,
}


def frame(*rows):
    return pd.DataFrame(list(rows), columns=COLUMNS)


def fused(maskrcnn, yolo, scores=None, **changed):
    scores = pd.Series({"b": 0.81, "a": 0.25} if scores is None else scores)
    return fuse({"maskrcnn": maskrcnn, "yolo": yolo}, scores, ["a", "b"], **(DEFAULTS | changed))


def run(maskrcnn, yolo, scores=None, **changed):
    return fused(maskrcnn, yolo, scores, **changed).detections


def values(result):
    return [(row[0], *(round(v, 6) for v in row[1:])) for row in result.itertuples(index=False)]


def test_union_keeps_the_better_of_two_overlapping_boxes():
    # 100x100 against the same moved by 20: IoU = 80 / 120 = 0.67.
    result = run(frame(("a", 0, 0, 100, 100, 0.6)), frame(("a", 20, 0, 100, 100, 0.9)), strategy="union")
    assert values(result) == [("a", 20, 0, 100, 100, 0.9)]


def test_union_keeps_boxes_apart_and_of_other_studies():
    result = run(
        frame(("a", 0, 0, 100, 100, 0.6), ("b", 0, 0, 100, 100, 0.3)),
        frame(("a", 60, 0, 100, 100, 0.9)),  # IoU 40 / 160 = 0.25
        strategy="union",
    )
    assert values(result) == [("a", 60, 0, 100, 100, 0.9), ("a", 0, 0, 100, 100, 0.6), ("b", 0, 0, 100, 100, 0.3)]


def test_union_weighs_scores_relative_to_the_largest_weight():
    result = run(
        frame(("a", 0, 0, 100, 100, 0.6)),
        frame(("a", 20, 0, 100, 100, 0.9)),
        strategy="union",
        weights={"maskrcnn": 2.0, "yolo": 1.0},
    )
    assert values(result) == [("a", 0, 0, 100, 100, 0.6)]  # 0.6 beats 0.9 / 2


def test_wbf_averages_corners_by_score_and_scores_by_model():
    # x1 = (0 * 0.6 + 20 * 0.2) / 0.8 = 5; x2 = (100 * 0.6 + 120 * 0.2) / 0.8 = 105; score = (0.6 + 0.2) / 2.
    result = run(frame(("a", 0, 0, 100, 100, 0.6)), frame(("a", 20, 0, 100, 100, 0.2)))
    assert values(result) == [("a", 5, 0, 100, 100, 0.4)]


def test_wbf_halves_what_one_of_two_models_found_alone():
    result = run(frame(("a", 0, 0, 100, 100, 0.6)), frame(("a", 500, 0, 100, 100, 0.8)))
    assert values(result) == [("a", 500, 0, 100, 100, 0.4), ("a", 0, 0, 100, 100, 0.3)]


def test_wbf_weights():
    # Shares 3 * 0.5 = 1.5 and 1 * 0.5 = 0.5: x1 = 20 * 0.5 / 2 = 5; score = 2 / (3 + 1).
    result = run(
        frame(("a", 0, 0, 100, 100, 0.5)), frame(("a", 20, 0, 100, 100, 0.5)), weights={"maskrcnn": 3.0, "yolo": 1.0}
    )
    assert values(result) == [("a", 5, 0, 100, 100, 0.5)]


def test_wbf_with_three_members_takes_their_mean_score():
    # Three members of two models: min(3, 2) / 2 = 1, so the score is the mean (0.9 + 0.6 + 0.3) / 3.
    result = run(frame(("a", 0, 0, 100, 100, 0.9), ("a", 0, 0, 100, 100, 0.3)), frame(("a", 0, 0, 100, 100, 0.6)))
    assert values(result) == [("a", 0, 0, 100, 100, 0.6)]


def test_wbf_compares_with_the_fused_box_not_with_its_founder():
    # After two members the fused box is 20..120. A third at 60..160 overlaps it by 60 / 140 = 0.43, though it overlaps
    # the founder (0..100) by 40 / 160 = 0.25 only.
    result = run(frame(("a", 0, 0, 100, 100, 0.5), ("a", 60, 0, 100, 100, 0.4)), frame(("a", 40, 0, 100, 100, 0.5)))
    assert len(result) == 1


def test_single_model_ignores_the_others_and_its_weight():
    result = run(
        frame(("a", 0, 0, 100, 100, 0.6)), frame(("a", 20, 0, 100, 100, 0.9)), strategy="maskrcnn",
        weights={"maskrcnn": 0.1, "yolo": 1.0},
    )  # fmt: skip
    assert values(result) == [("a", 0, 0, 100, 100, 0.6)]


def test_thresholds_look_at_the_raw_scores():
    boxes = frame(("a", 0, 0, 100, 100, 0.3)), frame(("a", 500, 0, 100, 100, 0.3))
    result = run(*boxes, thresholds={"maskrcnn": 0.3, "yolo": 0.31})
    assert values(result) == [("a", 0, 0, 100, 100, 0.15)]


def test_a_weight_of_zero_leaves_a_model_out():
    result = run(
        frame(("a", 0, 0, 100, 100, 0.6)), frame(("a", 20, 0, 100, 100, 0.2)), weights={"maskrcnn": 0.0, "yolo": 1.0}
    )
    assert values(result) == [("a", 20, 0, 100, 100, 0.2)]


def test_gate_threshold_drops_studies_below_it():
    boxes = frame(("a", 0, 0, 9, 9, 0.5), ("b", 0, 0, 9, 9, 0.5))
    gate = {"mode": "threshold", "threshold": 0.2, "power": 1.0}
    result = run(boxes, frame(), {"a": 0.2, "b": 0.19}, strategy="maskrcnn", gate=gate)
    assert values(result) == [("a", 0, 0, 9, 9, 0.5)]


def test_gate_multiplies_by_a_power_of_the_class_score():
    boxes = frame(("a", 0, 0, 9, 9, 0.5), ("b", 0, 0, 9, 9, 0.5))
    gate = {"mode": "multiply", "threshold": 0.2, "power": 0.5}
    result = run(boxes, frame(), {"a": 0.25, "b": 0.81}, strategy="maskrcnn", gate=gate)
    assert values(result) == [("a", 0, 0, 9, 9, 0.25), ("b", 0, 0, 9, 9, 0.45)]


def test_shrink_keeps_the_centre():
    result = run(frame(("a", 100, 200, 80, 40, 0.5)), frame(), strategy="maskrcnn", shrink=0.875)
    assert values(result) == [("a", 105, 202.5, 70, 35, 0.5)]


def test_with_sizes_boxes_are_cut_at_the_border_and_dropped_outside():
    sizes = pd.DataFrame({"columns": [60, 100], "rows": [60, 50]}, index=["b", "a"])
    boxes = frame(("a", -10, 40, 30, 30, 0.5), ("a", 100, 0, 20, 20, 0.4), ("b", 50, -20, 20, 20, 0.3))
    assert values(run(boxes, frame(), strategy="maskrcnn", sizes=sizes)) == [("a", 0, 40, 20, 10, 0.5)]
    assert values(run(boxes, frame(), strategy="maskrcnn")) == [
        ("a", -10, 40, 30, 30, 0.5), ("a", 100, 0, 20, 20, 0.4), ("b", 50, -20, 20, 20, 0.3)
    ]  # fmt: skip
    with pytest.raises(KeyError):
        run(boxes, frame(), strategy="maskrcnn", sizes=sizes.loc[["a"]])


def test_study_scores_average_classifier_and_best_box_before_the_gate():
    # The gate leaves "b" without a box, and scales that of "a"; neither counts here: (0.1 + 0.7) / 2, (0.4 + 0.2) / 2.
    boxes = frame(("a", 0, 0, 9, 9, 0.5), ("a", 0, 0, 9, 9, 0.7), ("b", 0, 0, 9, 9, 0.2))
    gate = {"mode": "threshold", "threshold": 0.3, "power": 1.0}
    result = fused(boxes, frame(), {"b": 0.2, "a": 0.1, "c": 0.9}, strategy="maskrcnn", gate=gate)
    assert len(result.detections) == 0
    assert result.scores.index.tolist() == ["a", "b"]
    assert result.scores.tolist() == pytest.approx([0.4, 0.2])


def test_the_score_of_a_study_without_a_box_is_half_the_classifiers():
    result = fused(frame(), frame(("b", 0, 0, 9, 9, 0.5)), strategy="maskrcnn")
    assert result.scores.tolist() == [0.125, 0.405]


def test_nothing_passed_in_is_changed():
    boxes, scores = frame(("a", -5.0, 0.0, 9.0, 9.0, 0.5)), pd.Series({"a": 0.5, "b": 0.5})
    before = boxes.copy()
    sizes = pd.DataFrame({"columns": [60, 100], "rows": [60, 50]}, index=["b", "a"])
    run(boxes, boxes, scores, shrink=0.5, sizes=sizes)
    pd.testing.assert_frame_equal(boxes, before)
    assert scores.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("strategy", ["union", "wbf", "maskrcnn"])
def test_nothing_in_nothing_out(strategy):
    result = run(frame(), frame(), strategy=strategy)
    assert list(result.columns) == COLUMNS
    assert len(result) == 0


def test_errors_say_what_was_wanted():
    with pytest.raises(ValueError, match="must be union, wbf or one of"):
        run(frame(), frame(), strategy="soft")
    with pytest.raises(ValueError, match="must be none, threshold or multiply, got 'and'"):
        run(frame(), frame(), gate={"mode": "and", "threshold": 0.2, "power": 1.0})
    with pytest.raises(ValueError, match="no classifier score, the first is a"):
        run(frame(("a", 0, 0, 9, 9, 0.5)), frame(), scores={"b": 0.5})
    with pytest.raises(ValueError, match=r"weights\.yolo must be at least 0, got -1"):
        run(frame(), frame(), weights={"maskrcnn": 1.0, "yolo": -1.0})


def random_frame(seed, studies, each):
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 600, (studies * each, 2)), rng.uniform(50, 400, (studies * each, 2))
    names = np.repeat([f"s{i:04d}" for i in range(studies)], each)
    score = rng.uniform(0.01, 1, studies * each)
    return pd.DataFrame(
        {
            "study": names,
            "x": corner[:, 0],
            "y": corner[:, 1],
            "width": side[:, 0],
            "height": side[:, 1],
            "score": score,
        }
    )


@given(seed=st.integers(0, 10_000), strategy=st.sampled_from(["union", "wbf"]))
def test_fused_boxes_stay_within_the_inputs_and_order_does_not_matter(seed, strategy):
    one, two = random_frame(seed, 3, 6), random_frame(seed + 1, 3, 6)
    names = sorted(set(one["study"]))
    options, scores = DEFAULTS | {"strategy": strategy}, pd.Series(0.5, index=names)
    result = fuse({"maskrcnn": one, "yolo": two}, scores, names, **options).detections
    shuffled = fuse({"yolo": two[::-1], "maskrcnn": one[::-1]}, scores, names, **options).detections
    pd.testing.assert_frame_equal(result, shuffled)
    both = pd.concat([one, two])
    assert 0 < len(result) <= len(both)
    assert result["score"].between(0, both["score"].max()).all()
    assert result["x"].min() >= both["x"].min() - 1e-9
    assert (result["y"] + result["height"]).max() <= (both["y"] + both["height"]).max() + 1e-9


def test_three_thousand_studies_take_seconds():
    one, two = random_frame(1, 3000, 10), random_frame(2, 3000, 10)
    names = sorted(set(one["study"]))
    start = time.perf_counter()
    result = fuse({"maskrcnn": one, "yolo": two}, pd.Series(0.5, index=names), names, **DEFAULTS)
    assert len(result.detections) > 30_000
    assert time.perf_counter() - start < 5
