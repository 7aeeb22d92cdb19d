"""`pneumonia evaluate-on` as a whole, on models whose answers are known by hand: tables, page, refusals."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.runtime.tiny import write_bundles
from tests.radiographs import IMAGE, chest

from pneumonia import cli
from pneumonia.archive import write_archive
from pneumonia.data.clean import clean
from pneumonia.data.images.squares import resize_study
from pneumonia.evaluation.evaluate import evaluate
from pneumonia.evaluation.inputs import read
from pneumonia.evaluation.outputs import write
from pneumonia.files import flat, write_csv
from pneumonia.prediction import calibration
from pneumonia.schema.models import CALIBRATION, ENSEMBLE, answering, has_boxes

WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "choice": 1, "percentiles": [0.5, 99.5]}
SIZE = 32
ON = answering(flat(yaml.safe_load((ROOT / "params.yaml").read_text())))


def file(grey: int) -> bytes:
    """A chest whose pixels are the usual ones, but `grey` in its first row."""
    header = pydicom.dcmread(io.BytesIO(chest()))
    pixels = IMAGE.copy()
    pixels[0] = grey
    header.PixelData = pixels.tobytes()
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def raw_set(folder, studies, positive, first_grey):
    folder.mkdir(parents=True)
    write_archive(folder / "images.zip", [(f"i/{s}.dcm", file(first_grey + n)) for n, s in enumerate(studies)])
    rows = [f"{study},{'16,0,32,24,1' if study in positive else ',,,,0'}\n" for study in studies]
    (folder / "labels.csv").write_text("patientId,x,y,width,height,Target\n" + "".join(rows))
    rows = [f"{study},{'Lung Opacity' if study in positive else 'Normal'}\n" for study in studies]
    (folder / "classes.csv").write_text("patientId,class\n" + "".join(rows))
    (folder / "persons.csv").write_text("study,person\n")
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of eight studies with its evaluation, and tiny bundles."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text().replace("  - 128\n  - 192\n", f"  - {SIZE}\n  - 128\n  - 192\n", 1)
    (tmp_path / "params.yaml").write_text(text.replace("bootstrap: 1000", "bootstrap: 50"))
    predict = yaml.safe_load(text)["predict"]
    options = {key: predict[key] for key in ("score_floor", "nms_iou", "max_detections")}
    write_bundles(tmp_path / "bundles", lambda name: {"predict": options} if has_boxes(name) else {})
    studies, positive = list("abcdefgh"), set("aceg")
    raw = raw_set(tmp_path / "data/raw", studies, positive, 0)
    (tmp_path / "data/clean").mkdir()
    clean(raw, tmp_path / "data/clean", min_box_side=4, max_age=110, window=WINDOW)
    subsets = ["train"] * 2 + ["validation"] * 3 + ["holdout"] * 3
    split = pd.DataFrame({"study": studies, "person": studies, "fold": 0, "subset": subsets})
    write_csv(tmp_path / "data/split/split.csv", split)
    folder = tmp_path / f"data/images/{SIZE}"
    folder.mkdir(parents=True)
    images = []
    for n in range(8):
        pixels = IMAGE.copy()
        pixels[0] = n
        images.append(resize_study(pixels, SIZE, 1.0))
    np.save(folder / "shard-00000.npy", np.stack(images))
    index = {
        "study": studies,
        "shard": 0,
        "row": range(8),
        "scale": 0.5,
        "pad_x": 0.0,
        "pad_y": 4.0,
        "columns": 64,
        "rows": 48,
    }
    write_csv(folder / "index.csv", pd.DataFrame(index).assign(aspect=1.0, window="none"))
    detections = pd.DataFrame({"study": studies[2:], "x": 16, "y": 0, "width": 32, "height": 24})
    scores = [0.9, 0.2, 0.8, 0.3, 0.85, 0.1]
    for model in (*ON, ENSEMBLE):
        folder = tmp_path / ("data/ensemble" if model == "ensemble" else f"data/predictions/{model}")
        write_csv(folder / "scores.csv", pd.DataFrame({"study": studies[2:], "score": scores}))
        write_csv(folder / "detections.csv", detections.assign(score=scores))
    calibration.write(CALIBRATION, dict.fromkeys([*ON, ENSEMBLE], calibration.NONE))
    own = read(".", [*ON, ENSEMBLE])
    point = yaml.safe_load(text)["evaluate"]["operating_point"]
    write(".", evaluate(own.studies, own.boxes, own.split, own.predictions, **point, resamples=50, seed=1))
    return tmp_path


def test_frozen_models_on_another_set(project, capsys):
    raw_set(project / "other", ["u", "v", "w", "x"], {"u", "v", "w"}, 100)
    assert cli.main(["evaluate-on", "other", "--output", "out", "--models", "bundles"]) == 0
    assert "prevalence 0.750 against 0.333" in capsys.readouterr().out
    internal, external = (
        json.loads((folder / "metrics/evaluation.json").read_text()) for folder in (project, project / "out")
    )
    assert external["holdout"] == {"studies": 4, "persons": 4, "positives": 3, "boxes": 3}
    for model in (*ON, ENSEMBLE):
        assert external[model]["threshold"] == internal[model]["threshold"]  # nothing is chosen here
    detections = pd.read_csv(project / "out/predictions/yolo/detections.csv")
    assert detections.iloc[0].tolist() == ["u", 16.0, 0.0, 32.0, 24.0, 0.75]
    assert external["yolo"]["box_sensitivity"] == (1.0 if internal["yolo"]["threshold"] <= 0.75 else 0.0)
    shift = json.loads((project / "out/shift.json").read_text())
    assert shift["prevalence"]["difference"] == pytest.approx(0.75 - 1 / 3, abs=1e-6)
    page = (project / "out/index.html").read_text()
    assert "External validation: other" in page
    assert "nothing was chosen on this set" in page
    assert (project / "out/plots/roc/ensemble.csv").is_file()


def test_a_set_that_training_has_seen_is_refused(project, capsys):
    raw_set(project / "other", ["a", "v"], {"a"}, 3)  # the pixels of d and e, the id of a
    assert cli.main(["evaluate-on", "other", "--output", "out", "--models", "bundles"]) == 2
    said = capsys.readouterr().err
    assert "2 studies of the new set are in training or validation (1 by id, 1 by person, 2 by pixels)" in said
    assert not (project / "out").exists()


def test_predictions_of_another_run_than_the_metrics_are_refused(project, capsys):
    path = project / "metrics/evaluation.json"
    metrics = json.loads(path.read_text())
    metrics["ensemble"]["threshold"] += 0.1
    path.write_text(json.dumps(metrics))
    raw_set(project / "other", ["u", "v"], {"u"}, 100)
    assert cli.main(["evaluate-on", "other", "--output", "out", "--models", "bundles"]) == 2
    assert "they are of different runs" in capsys.readouterr().err


def test_a_set_without_a_usable_study_is_refused(project, capsys):
    other = raw_set(project / "other", ["u"], {"u"}, 100)
    shutil.copy(other / "labels.csv", other / "old.csv")
    (other / "labels.csv").write_text("patientId,x,y,width,height,Target\nz,,,,,0\n")
    assert cli.main(["evaluate-on", "other", "--output", "out", "--models", "bundles"]) == 2
    assert "no study is left after cleaning" in capsys.readouterr().err


@pytest.mark.parametrize("left_out", [("images.zip", "labels.csv", "classes.csv"), ("classes.csv",)])
def test_what_is_no_set_is_refused_by_what_it_lacks(project, capsys, left_out):
    """An absent folder or a file, too: they lack all three."""
    folder = raw_set(project / "torn", ["x"], set(), 1)
    for name in left_out:
        (folder / name).unlink()
    assert cli.main(["evaluate-on", str(folder), "--output", "out", "--models", "bundles", "--runtime", "onnx"]) == 2
    assert f"has no {', '.join(left_out)}; wanted a folder of data/raw's form" in capsys.readouterr().err
    assert not (project / "out").exists()
