"""The evaluation on a set small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pneumonia.evaluation.evaluate import evaluate
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.measured import FROC_KEYS

BOX = ["study", "x", "y", "width", "height"]

# Holdout: a, b show an opacity, c, d do not. Validation: v (opacity), w.
STUDIES = pd.DataFrame(
    [
        ("a", "p1", "opacity", 1, "AP", "F", 57.0),
        ("b", "p2", "opacity", 1, "PA", "M", 83.0),
        ("c", "p3", "normal", 0, "AP", "F", np.nan),
        ("d", "", "not_normal", 0, "PA", "", 41.0),
        ("v", "p4", "opacity", 1, "AP", "M", 30.0),
        ("w", "p5", "normal", 0, "PA", "F", 30.0),
        ("t", "p6", "opacity", 1, "AP", "F", 30.0),
    ],
    columns=["study", "person", "category", "target", "view", "sex", "age"],
).assign(rows=100, columns=100)
SPLIT = pd.DataFrame({"study": list("abcdvwt"), "subset": ["holdout"] * 4 + ["validation"] * 2 + ["train"]})
TRUTH = pd.DataFrame([("a", 0, 0, 10, 10), ("b", 0, 0, 10, 10), ("v", 0, 0, 10, 10)], columns=BOX)
DETECTIONS = pd.DataFrame(
    [
        ("a", 0, 0, 10, 10, 0.9),
        ("a", 50, 50, 10, 10, 0.6),
        ("b", 30, 30, 10, 10, 0.3),
        ("c", 0, 0, 10, 10, 0.7),
        ("v", 0, 0, 10, 10, 0.5),
        ("w", 0, 0, 10, 10, 0.4),
    ],
    columns=[*BOX, "score"],
)


def predictions():
    detector = pd.Series({"a": 0.9, "b": 0.3, "c": 0.7, "d": 0.0, "v": 0.5, "w": 0.4})
    ensemble = pd.Series({"a": 0.8, "b": 0.7, "c": 0.2, "d": 0.1, "v": 0.6, "w": 0.1})
    return {
        "yolo": Predictions(detector, DETECTIONS),
        "classifier": Predictions(pd.Series({"a": 0.9, "b": 0.2, "c": 0.2, "d": 0.1, "v": 0.6, "w": 0.3})),
        "ensemble": Predictions(ensemble, DETECTIONS),
    }


def run(rule="best_f1", value=0.5, resamples=50, **changed):
    return evaluate(
        changed.get("studies", STUDIES), TRUTH, changed.get("split", SPLIT), changed.get("predictions", predictions()),
        rule=rule, value=value, resamples=resamples, seed=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return run()


def test_thresholds_come_from_validation(result):
    assert result.metrics["yolo"]["threshold"] == 0.5
    assert result.metrics["yolo"]["box_threshold"] == 0.5
    assert result.metrics["classifier"]["threshold"] == 0.6
    # The ensemble's study score is not its highest box's: each has its own threshold.
    assert result.metrics["ensemble"]["threshold"] == 0.6
    assert result.metrics["ensemble"]["box_threshold"] == 0.5
    assert result.metrics["yolo"]["challenge_threshold"] == 0.5


def test_study_level_on_holdout(result):
    yolo = result.metrics["yolo"]  # 0.9, 0.3 against 0.7, 0.0: three of four pairs; calls a and c
    assert yolo["auc"] == 0.75
    assert (yolo["sensitivity"], yolo["specificity"], yolo["precision"], yolo["f1"]) == (0.5, 0.5, 0.5, 0.5)
    classifier = result.metrics["classifier"]  # b ties with c
    assert classifier["auc"] == 0.875
    assert (classifier["sensitivity"], classifier["specificity"], classifier["precision"]) == (0.5, 1.0, 1.0)
    assert classifier["brier"] == pytest.approx((0.01 + 0.64 + 0.04 + 0.01) / 4)
    # Bins of 0.9, of 0.2 (one of two is ill) and of 0.1.
    assert classifier["ece"] == pytest.approx((0.1 + 2 * 0.3 + 0.1) / 4)
    assert result.metrics["ensemble"]["auc"] == 1.0
    assert (yolo["auc_ap"], yolo["auc_pa"]) == (1.0, 1.0)


def test_boxes_on_holdout(result):
    yolo = result.metrics["yolo"]
    # Ranked 0.9 hit, 0.7, 0.6, 0.3 misses, two truths: precision 1 up to recall 0.5, 51 of 101 points.
    assert yolo["ap50"] == pytest.approx(51 / 101)
    # At 0.5: a has a hit and a false box (1/2), b nothing (0), c a false box (0), d is left out.
    assert yolo["challenge"] == pytest.approx(0.5 / 3)
    assert yolo["box_sensitivity"] == 0.5
    assert yolo["box_precision"] == pytest.approx(1 / 3)
    assert yolo["boxes_per_normal"] == 0.5
    assert "ap50" not in result.metrics["classifier"]
    # The only hit overlaps fully, so it is one at all ten overlaps.
    assert yolo["ap"] == pytest.approx(51 / 101)
    # Outside the holdout all boxes measure 100: nothing is small or medium, everything large.
    assert result.metrics["box_sizes"] == {"small_below": 100.0, "large_from": 100.0}
    assert yolo["ap50_large"] == pytest.approx(51 / 101)
    assert math.isnan(yolo["ap50_small"])
    # False boxes: 0.7, 0.6, 0.3; in four studies the one hit comes before any, and no other ever.
    assert [yolo[key] for key in FROC_KEYS] == [0.5] * 7
    assert yolo["froc_mean"] == 0.5
    # Kept from 0.05 to 0.30 (six steps): a 1/2, b 0, c 0; to 0.60 (six): the same; to 0.70 (two): a 1, b 0, c 0;
    # to 0.90 (four): a 1, b 0 and c left out; at 0.95 nothing: a 0, b 0.
    assert yolo["challenge_mean"] == pytest.approx((12 * 0.5 / 3 + 2 / 3 + 4 / 2) / 19)


def test_comparison_counts_and_yardstick(result):
    assert result.metrics["ensemble_minus_yolo"]["auc"] == pytest.approx(0.25)
    assert result.metrics["ensemble_minus_yolo"]["ap50"] == 0.0
    assert result.metrics["holdout"] == {"studies": 4, "persons": 4, "positives": 2, "boxes": 2}
    assert result.metrics["validation"] == {"studies": 2, "persons": 2, "positives": 1, "boxes": 1}
    # Validation says AP is always ill, PA never: a right, b wrong, c wrong, d right.
    assert result.metrics["yardsticks"]["view_only_auc"] == 0.5


def test_intervals_hold_the_value_and_repeat(result):
    for model in ("classifier", "yolo", "ensemble"):
        numbers = result.metrics[model]
        assert numbers["auc_low"] <= numbers["auc"] <= numbers["auc_high"]
    np.testing.assert_equal(run().metrics, result.metrics)
    without = run(resamples=0).metrics["yolo"]
    assert without["auc"] == 0.75
    assert math.isnan(without["auc_low"])


def test_curves_and_confusion(result):
    roc = result.curves["roc"]
    assert sorted(set(roc["model"])) == ["classifier", "ensemble", "yolo"]
    yolo = roc[roc["model"] == "yolo"]
    assert yolo["false_positive_rate"].tolist() == [0, 0, 0.5, 0.5, 1]
    assert yolo["sensitivity"].tolist() == [0, 0.5, 0.5, 1, 1]
    assert set(result.curves["froc"]["model"]) == {"ensemble", "yolo"}
    assert list(result.curves["pr"].columns) == ["model", "recall", "precision"]
    challenge = result.curves["challenge"].query("model == 'yolo'")
    # From 0.3 and 0.6 on: 0.5 of three studies; from 0.7: a 1, b 0, c 0; at 0.9: a 1, b 0.
    assert challenge["threshold"].tolist() == [0.3, 0.6, 0.7, 0.9]
    assert challenge["challenge"].tolist() == pytest.approx([0.5 / 3, 0.5 / 3, 1 / 3, 0.5])
    assert result.confusion.to_numpy().tolist() == [
        ["opacity", "opacity"], ["opacity", "opacity"], ["no opacity", "no opacity"], ["no opacity", "no opacity"]
    ]  # fmt: skip


def test_operating_point_rules():
    assert run("threshold", 0.95).metrics["yolo"]["sensitivity"] == 0.0
    assert run("min_sensitivity", 1.0).metrics["yolo"]["threshold"] == 0.5
    assert run("max_false_positive_rate", 1.0).metrics["yolo"]["threshold"] == 0.4


def test_what_the_rule_wanted_stands_beside_what_it_got():
    def stands(rule, value):
        yolo = run(rule, value, resamples=0).metrics["yolo"]
        return [yolo.get(key) for key in ("wanted", "reached_validation", "reached_holdout")]

    assert stands("min_sensitivity", 0.9) == [0.9, 1.0, 0.5]  # of a and b only a is called
    assert stands("max_false_positive_rate", 0.1) == [0.1, 0.0, 0.5]  # of c and d only c is
    assert stands("best_f1", 0.5) == [None, None, None]
    assert stands("threshold", 0.5) == [None, None, None]


def test_errors_name_what_is_missing():
    with pytest.raises(ValueError, match="has no validation study"):
        run(split=SPLIT[SPLIT["subset"] == "holdout"])
    with pytest.raises(ValueError, match=r"lacks, such as d"):
        run(studies=STUDIES[STUDIES["study"] != "d"])
    short = predictions() | {"yolo": Predictions(pd.Series({"a": 0.5}), DETECTIONS)}
    with pytest.raises(ValueError, match="1 of 2 studies have no score, the first is w"):
        run(predictions=short | {"yolo": Predictions(pd.Series(dict.fromkeys("abcdv", 0.5)), DETECTIONS)})


def test_operating_table(result):
    table = result.tables["operating"].set_index("model")
    yolo = table.loc["yolo"]
    assert yolo["threshold"].tolist() == [0.3, 0.5, 0.7, 0.5]
    assert yolo["chosen"].tolist() == [0, 0, 0, 1]
    # Called from 0.3: a, b, c; from 0.5 and 0.7: a and c.
    assert yolo["sensitivity"].tolist() == [1, 0.5, 0.5, 0.5]
    assert yolo["specificity"].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert yolo["precision"].tolist() == pytest.approx([2 / 3, 0.5, 0.5, 0.5])
    assert yolo["box_sensitivity"].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert yolo["box_precision"].tolist() == pytest.approx([1 / 4, 1 / 3, 1 / 2, 1 / 3])
    assert yolo["boxes_per_normal"].tolist() == [0.5, 0.5, 0.5, 0.5]
    cells = ["true_positives", "false_positives", "false_negatives", "true_negatives"]
    assert yolo[cells].to_numpy().tolist() == [[2, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    ensemble = table.loc["ensemble"].iloc[-1]
    assert (ensemble["threshold"], ensemble["box_threshold"]) == (0.6, 0.5)
    assert (yolo["sensitivity_low"] <= yolo["sensitivity"]).all()
    classifier = table.loc["classifier"]
    assert classifier[["box_threshold", "box_sensitivity", "boxes_per_normal_high"]].isna().all(axis=None)


def test_calibration_table(result):
    table = result.tables["calibration"].query("model == 'classifier'")
    assert table["predicted"].tolist() == pytest.approx([0.1, 0.2, 0.9])
    assert table["observed"].tolist() == [0, 0.5, 1]
    assert table["studies"].tolist() == [1, 2, 1]
    assert table["observed_low"].tolist()[::2] == [0, 1]


def test_the_order_of_studies_and_rows_decides_nothing(result):
    rng = np.random.default_rng(0)

    def shuffled(frame):
        return frame.iloc[rng.permutation(len(frame))]

    mixed = {name: Predictions(shuffled(p.scores), None if p.detections is None else shuffled(p.detections))
             for name, p in reversed(predictions().items())}  # fmt: skip
    other = evaluate(
        shuffled(STUDIES), shuffled(TRUTH), shuffled(SPLIT), mixed, rule="best_f1", value=0.5, resamples=50, seed=1
    )
    np.testing.assert_equal(other.metrics, result.metrics)
    for name, table in result.tables.items():
        pd.testing.assert_frame_equal(other.tables[name], table)


def test_a_holdout_without_truth_or_without_detections():
    quiet = SPLIT.copy()
    quiet.loc[quiet["study"].isin(["a", "b"]), "subset"] = "train"
    metrics = run(split=quiet).metrics["yolo"]  # c and d are left, both negative
    assert math.isnan(metrics["auc"])
    assert math.isnan(metrics["ap50"])
    assert math.isnan(metrics["sensitivity"])
    assert metrics["challenge"] == 0.0
    blind = {"yolo": Predictions(pd.Series(0.0, index=STUDIES["study"]), DETECTIONS.iloc[:0])}
    metrics = run("threshold", 0.5, predictions=blind).metrics["yolo"]
    assert (metrics["ap50"], metrics["ap"], metrics["froc_8"], metrics["box_sensitivity"]) == (0, 0, 0, 0)
    assert (metrics["auc"], metrics["boxes_per_normal"], metrics["challenge"]) == (0.5, 0, 0)
    assert math.isnan(metrics["box_precision"])
