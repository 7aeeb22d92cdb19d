"""The evaluation on a set small enough to work out by hand, and on the whole challenge's labels for its cost."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumonia.evaluation import Predictions, evaluate

BOX = ["study", "x", "y", "width", "height"]
LABELS = Path(__file__).parents[2] / "../shared/labels"

# Holdout: a, b show an opacity, c, d do not. Validation: v (opacity), w.
STUDIES = pd.DataFrame(
    [
        ("a", "p1", "opacity", 1, "AP"),
        ("b", "p2", "opacity", 1, "PA"),
        ("c", "p3", "normal", 0, "AP"),
        ("d", "", "not_normal", 0, "PA"),
        ("v", "p4", "opacity", 1, "AP"),
        ("w", "p5", "normal", 0, "PA"),
        ("t", "p6", "opacity", 1, "AP"),
    ],
    columns=["study", "person", "category", "target", "view"],
)
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
    assert run().metrics == result.metrics
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
    assert result.confusion.to_numpy().tolist() == [
        ["opacity", "opacity"], ["opacity", "opacity"], ["no opacity", "no opacity"], ["no opacity", "no opacity"]
    ]  # fmt: skip


def test_operating_point_rules():
    assert run("threshold", 0.95).metrics["yolo"]["sensitivity"] == 0.0
    assert run("min_sensitivity", 1.0).metrics["yolo"]["threshold"] == 0.5
    assert run("max_false_positive_rate", 1.0).metrics["yolo"]["threshold"] == 0.4


def test_errors_name_what_is_missing():
    with pytest.raises(ValueError, match="has no validation study"):
        run(split=SPLIT[SPLIT["subset"] == "holdout"])
    with pytest.raises(ValueError, match=r"lacks, such as d"):
        run(studies=STUDIES[STUDIES["study"] != "d"])
    short = predictions() | {"yolo": Predictions(pd.Series({"a": 0.5}), DETECTIONS)}
    with pytest.raises(ValueError, match="1 of 2 studies have no score, the first is w"):
        run(predictions=short | {"yolo": Predictions(pd.Series(dict.fromkeys("abcdv", 0.5)), DETECTIONS)})


@pytest.mark.slow
def test_the_whole_challenge_takes_seconds():
    path = LABELS / "stage_2_train_labels.csv"
    if not path.exists():
        pytest.skip(f"{path.name} of the challenge is not at ../shared/labels")
    labels = pd.read_csv(path).rename(columns={"patientId": "study", "Target": "target"})
    studies = labels.groupby("study", as_index=False)["target"].max()
    assert len(studies) == 26_684
    studies = studies.assign(person=studies["study"], category="normal", view="AP")
    rng = np.random.default_rng(0)
    count = 5 * len(studies)
    side = rng.uniform(50, 300, (2, count))
    boxes = pd.DataFrame(
        {
            "study": np.repeat(studies["study"], 5).to_numpy(),
            "x": rng.uniform(0, 700, count), "y": rng.uniform(0, 700, count),
            "width": side[0], "height": side[1], "score": rng.uniform(0, 1, count),
        }
    )  # fmt: skip
    split = studies[["study"]].assign(subset=np.where(rng.uniform(size=len(studies)) < 0.2, "validation", "holdout"))
    scores = boxes.groupby("study")["score"].max()
    start = time.process_time()
    evaluate(
        studies, labels[labels["target"] == 1], split, {"yolo": Predictions(scores, boxes)},
        rule="best_f1", value=0.5, resamples=200, seed=1,
    )  # fmt: skip
    assert time.process_time() - start < 10
