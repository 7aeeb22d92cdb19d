"""The schema is what lies on disk: the committed outputs of the pipeline, what the writers write, and docs/design.md."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.places import ROOT

from pneumonia import params
from pneumonia.data.images.store import StudyRow
from pneumonia.files import read_csv
from pneumonia.schema import data, explore, models, predictions, pretraining, raw, results, training
from pneumonia.schema.table import BOX, Table

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ON = params.load(ROOT / "params.yaml").answering  # what is committed is the default's


def header(path: Path) -> list[str]:
    with path.open(newline="") as stream:
        return next(csv.reader(stream))


def outs() -> set[str]:
    """What dvc.yaml says the stages write, `{model}` where a stage runs once a model."""
    found = [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in DVC.values()
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    ]
    return {out.replace("${item.model}", "{model}") for out in found}


@pytest.mark.parametrize("table", [results.SUBGROUPS, results.OPERATING, results.CONFUSION], ids=lambda t: t.name)
def test_committed_tables_have_the_columns_of_the_schema(table: Table):
    assert header(ROOT / table.path) == list(table.columns)
    read_csv(ROOT / table.path, table.columns)  # and their types


@pytest.mark.parametrize("name", results.CURVES)
def test_committed_curves_have_the_columns_of_the_schema(name: str):
    curve = results.CURVES[name]
    assert Path(curve.path).parent.name == name
    drawn = [model for model in (*ON, models.ENSEMBLE) if models.has_boxes(model) or name not in ("froc", "challenge")]
    for model in drawn:
        path = ROOT / curve.of(model=model).path
        assert header(path) == list(curve.columns)
        read_csv(path, curve.columns)
    assert {path.stem for path in (ROOT / curve.path).parent.glob("*.csv")} == set(drawn)


def test_a_threshold_keeps_all_its_decimals_and_measures_have_five():
    assert results.CURVES["challenge"].decimals == {"threshold": 6, "challenge": 5}
    assert {name: results.OPERATING.decimals[name] for name in ("threshold", "box_threshold", "f1_low")} == {
        "threshold": 6,
        "box_threshold": 6,
        "f1_low": 5,
    }
    assert results.SUBGROUPS.decimals == {"estimate": 5, "low": 5, "high": 5}
    assert results.CONFUSION.decimals == {}


@pytest.mark.parametrize("model", ON)
def test_committed_histories_have_the_form_of_the_schema(model: str):
    path = ROOT / training.HISTORY.format(model=model)
    columns = header(path)
    table = training.history(columns[1:])
    assert list(table.columns) == columns
    assert table.decimals == dict.fromkeys(columns[1:], 6) | {"learning_rate": 8}
    row = path.read_text().splitlines()[1].split(",")
    assert [len(value.partition(".")[2]) for value in row[1:]] == [table.decimals[name] for name in columns[1:]]


def test_committed_metrics_are_where_the_schema_says():
    paths = {data.CLEAN_METRICS, data.SPLIT_METRICS, results.EVALUATION, results.EXPLAIN, results.SUBMISSION_METRICS}
    paths |= {training.METRICS.format(model=model) for model in (pretraining.NAME, *ON)}
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "metrics").glob("*.json")}
    assert found - {training.METRICS.format(model=model) for model in models.MODELS if model not in ON} == paths
    evaluation = json.loads((ROOT / results.EVALUATION).read_text())
    assert {*ON, models.ENSEMBLE} <= set(evaluation)


def test_what_dvc_tracks_is_what_the_schema_names():
    assert outs() == {
        raw.FOLDER, raw.TEST_FOLDER, data.CLEAN, data.CLEAN_METRICS, data.IMAGES, data.TEST_IMAGES, data.SPLIT_FOLDER,
        data.SPLIT_METRICS, data.ANNOTATIONS, explore.FOLDER, predictions.FUSED, results.EVALUATION, results.EXPLAIN,
        results.SUBMISSION, results.SUBMISSION_METRICS, results.REPORT, results.HEADLINES, results.SUBGROUPS.path, results.OPERATING.path,
        results.CONFUSION.path, models.CALIBRATION,
        *(Path(curve.path).parent.as_posix() for curve in results.CURVES.values()),
        pretraining.FOLDER, training.METRICS.format(model=pretraining.NAME), training.HISTORY.format(model=pretraining.NAME),
        *(f"{training.MODELS}/{model}" for model in (*models.MODELS, training.BACKBONE, training.EXPORTED)),
        *(training.METRICS.format(model=model) for model in models.MODELS),
        *(training.HISTORY.format(model=model) for model in models.MODELS),
        *(f"{folder}/{model}" for folder in (predictions.PREDICTIONS, predictions.TEST_PREDICTIONS) for model in models.MODELS),
    }  # fmt: skip


def test_predictions_of_each_model():
    assert models.tables("classifier") == ["data/predictions/classifier/scores.csv"]
    assert models.tables("yolo") == ["data/predictions/yolo/scores.csv", "data/predictions/yolo/detections.csv"]
    assert models.tables("ensemble") == ["data/ensemble/scores.csv", "data/ensemble/detections.csv"]


def test_boxes_stand_in_their_tables_alike():
    assert BOX == ["x", "y", "width", "height"]
    assert list(data.BOXES.columns) == ["study", *BOX]
    assert list(predictions.DETECTIONS.columns) == ["study", *BOX, "score"]
    assert data.BOXES.decimals == {"x": 2, "y": 2, "width": 2, "height": 2}
    assert predictions.DETECTIONS.decimals == {"x": 2, "y": 2, "width": 2, "height": 2, "score": 6}


def test_a_row_of_the_index_is_the_index():
    assert list(data.INDEX.columns) == ["study", *StudyRow._fields]


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("data/clean/studies.csv", data.STUDIES),
        ("data/clean/boxes.csv", data.BOXES),
        ("data/clean/rejected.csv", data.REJECTED),
        ("data/split/split.csv", data.SPLIT),
        ("<output>/studies.csv", results.NEW_STUDIES),
        ("<output>/render.csv", results.RENDER),
    ],
)
def test_the_design_says_what_the_schema_says(path: str, table: Table):
    lines = (ROOT / "docs/design.md").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"| `{path}`"))
    assert table.path == path.removeprefix("<output>/")
    assert f"`{','.join(table.columns)}`" in line


@pytest.mark.parametrize("table", [data.INDEX, data.UNREADABLE, predictions.SCORES, predictions.DETECTIONS])
def test_the_design_names_the_columns_of_tables_in_several_folders(table: Table):
    text = (ROOT / "docs/design.md").read_text()
    assert f"`{table.name}`" in text
    assert f"`{','.join(table.columns)}`" in text


def test_importing_the_schema_loads_no_pandas():
    names = "data, explore, models, predictions, raw, results, table, training"
    code = f"import sys; from pneumonia.schema import {names}; sys.exit(any(m in sys.modules for m in ('pandas', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
