"""What evaluate writes."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from tests.pneumonia.evaluation.evaluation_project import write_project

from pneumonia.evaluation.evaluate import evaluate
from pneumonia.evaluation.inputs import read
from pneumonia.evaluation.outputs import headline, write


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    write_project(root)
    inputs = read(root, ("classifier", "maskrcnn", "yolo", "ensemble"))
    result = evaluate(
        inputs.studies, inputs.boxes, inputs.split, inputs.predictions, rule="best_f1", value=0, resamples=40, seed=1
    )
    write(root, result)
    return root


def test_written_files(project):
    plots = project / "plots"
    assert {p.relative_to(plots).as_posix() for p in plots.rglob("*.csv")} == {
        "confusion.csv", "operating.csv", "subgroups.csv",
        *(f"{kind}/{model}.csv" for kind in ("roc", "pr", "calibration")
          for model in ("classifier", "maskrcnn", "yolo", "ensemble")),
        *(f"{kind}/{model}.csv" for kind in ("froc", "challenge") for model in ("maskrcnn", "yolo", "ensemble")),
    }  # fmt: skip


def header(path):
    return path.read_text().split("\n", 1)[0].split(",")


def test_columns(project):
    plots = project / "plots"
    assert header(plots / "calibration/yolo.csv") == [
        "predicted",
        "observed",
        "studies",
        "observed_low",
        "observed_high",
    ]
    assert header(plots / "subgroups.csv") == [
        "model", "group", "value", "measure", "studies", "positives", "boxes", "estimate", "low", "high", "small"
    ]  # fmt: skip
    assert header(plots / "operating.csv")[:9] == [
        "model", "threshold", "box_threshold", "chosen", "true_positives", "false_positives", "false_negatives",
        "true_negatives", "sensitivity",
    ]  # fmt: skip
    assert header(plots / "challenge/yolo.csv") == ["threshold", "challenge"]


def test_metrics_are_flat_and_the_tables_say_the_same(project):
    metrics = json.loads((project / "metrics/evaluation.json").read_text())
    assert set(metrics) == {
        "classifier", "maskrcnn", "yolo", "ensemble", "ensemble_minus_classifier", "ensemble_minus_maskrcnn",
        "ensemble_minus_yolo", "holdout", "validation", "yardsticks", "box_sizes",
    }  # fmt: skip
    assert all(value is None or isinstance(value, float | int) for own in metrics.values() for value in own.values())
    yolo = metrics["yolo"]
    assert {name for name in yolo if f"{name}_low" in yolo} == {
        "auc", "auc_ap", "auc_pa", "sensitivity", "specificity", "precision", "npv", "f1", "brier", "ece",
        "ap", "ap50", "ap50_small", "ap50_medium", "ap50_large", "box_sensitivity", "box_precision", "boxes_per_normal",
        "challenge", "challenge_mean", "froc_0125", "froc_025", "froc_05", "froc_1", "froc_2", "froc_4", "froc_8",
        "froc_mean",
    }  # fmt: skip
    operating = pd.read_csv(project / "plots/operating.csv").query("model == 'yolo' and chosen == 1").iloc[0]
    assert operating["threshold"] == yolo["threshold"]
    assert operating["sensitivity_low"] == pytest.approx(yolo["sensitivity_low"], abs=1e-5)
    groups = pd.read_csv(project / "plots/subgroups.csv").query("model == 'yolo'")
    row = groups.query("group == 'view' and value == 'AP' and measure == 'auc'").iloc[0]
    assert row["estimate"] == pytest.approx(yolo["auc_ap"], abs=1e-5)
    assert row["high"] == pytest.approx(yolo["auc_ap_high"], abs=1e-5)


def test_the_headlines_are_flat_few_and_those_of_the_whole(project):
    whole = json.loads((project / "metrics/evaluation.json").read_text())
    found = {path.stem: json.loads(path.read_text()) for path in (project / "metrics/holdout").iterdir()}
    assert set(found) == {"classifier", "maskrcnn", "yolo", "ensemble"}
    columns = {f"{name}{end}" for name in ("auc", "ap50", "sensitivity", "precision") for end in ("", "_low", "_high")}
    assert set(found["yolo"]) == columns
    assert set(found["classifier"]) == {name for name in columns if not name.startswith("ap50")}
    for model, own in found.items():
        assert all(own[name] == pytest.approx(whole[model][name], abs=5.1e-5) for name in own)


def test_a_headline_worked_out_by_hand():
    measures = {"auc": 0.843251, "auc_low": 0.77, "auc_high": None, "f1": 0.6, "precision": 1 / 3}
    assert headline(measures) == {"auc": 0.8433, "auc_low": 0.77, "precision": 0.3333}


def test_the_same_bytes_twice(project, tmp_path):
    inputs = read(project, ("classifier", "maskrcnn", "yolo", "ensemble"))
    result = evaluate(
        inputs.studies, inputs.boxes, inputs.split, inputs.predictions, rule="best_f1", value=0, resamples=40, seed=1
    )
    write(tmp_path, result)
    for name in ("metrics/evaluation.json", "plots/subgroups.csv", "plots/operating.csv", "plots/froc/yolo.csv"):
        assert (tmp_path / name).read_bytes() == (project / name).read_bytes()
