"""A detector that is off leaves files that DVC can hash and nobody can take for results."""

import json
from pathlib import Path

import pytest

from pneumonia.evaluation import inputs
from pneumonia.models import off
from pneumonia.prediction import inference
from pneumonia.prediction.tables import read_detections, read_scores
from pneumonia.reading_room.trained import require


def test_a_training_that_is_off_leaves_its_outs_without_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("models/yolo").mkdir(parents=True)
    Path("models/yolo/model.json").write_text("{}")  # of when it was on
    off.train("yolo")
    assert [path.name for path in Path("models/yolo").iterdir()] == ["off.txt"]
    assert Path("models/yolo/off.txt").read_text() == "yolo.enabled is false in params.yaml\n"
    assert json.loads(Path("metrics/yolo.json").read_text()) == {}
    assert Path("plots/history/yolo.csv").read_text() == "epoch,loss\n"
    assert off.is_off(Path("models/yolo"))
    assert not off.is_off(Path("models"))
    with pytest.raises(ValueError, match="no trained model at models/yolo"):
        require(Path("models"), ["yolo"])


def test_its_predictions_are_tables_without_a_row_that_no_evaluation_takes(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("data/predictions/yolo")
    inference.write_nothing(folder)
    assert (folder / "scores.csv").read_text() == "study,score\n"
    assert (folder / "detections.csv").read_text() == "study,x,y,width,height,score\n"
    assert len(read_scores(folder)) == len(read_detections(folder)) == 0
    with pytest.raises(ValueError, match=r"yolo was off \(yolo.enabled in params.yaml\)"):
        inputs.read(".", ["yolo"])
