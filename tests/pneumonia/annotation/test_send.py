"""The commands as a whole on a made-up project: send, correct, take; the same comes back where nothing was changed; worst."""

import json
import shutil

import cv2
import pandas as pd
import pytest
from tests.places import ROOT
from tests.radiographs import chest

from pneumonia import cli
from pneumonia.annotation.send import gather
from pneumonia.archive import write_archive
from pneumonia.data.clean import clean
from pneumonia.files import write_csv, write_json

LABELS = "patientId,x,y,width,height,Target\na,1,2,30,40,1\nb,,,,,0\nc,5,5,20,20,1\nd,,,,,0\n"
CLASSES = "patientId,class\na,Lung Opacity\nb,Normal\nc,Lung Opacity\nd,Normal\n"
WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "choice": 1, "percentiles": [0.5, 99.5]}
DETECTIONS = "study,x,y,width,height,score\nb,10,10,20,20,0.9\nc,5,5,20,20,0.8\nc,40,10,8,8,0.2\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("raw", "clean", "split", "ensemble"):
        (tmp_path / "data" / name).mkdir(parents=True)
    raw = tmp_path / "data/raw"
    write_archive(raw / "images.zip", [(f"stage_2_train_images/{study}.dcm", chest()) for study in "abcd"])
    (raw / "labels.csv").write_text(LABELS)
    (raw / "classes.csv").write_text(CLASSES)
    (raw / "persons.csv").write_text("study,person\n")
    clean(raw, tmp_path / "data/clean", min_box_side=4, max_age=110, window=WINDOW)
    split = pd.DataFrame({"study": list("abcd"), "person": list("abcd"), "fold": [0, -1, -1, 1]})
    write_csv(tmp_path / "data/split/split.csv", split.assign(subset=["validation", "holdout", "holdout", "train"]))
    (tmp_path / "data/ensemble/detections.csv").write_text(DETECTIONS)
    (tmp_path / "data/ensemble/scores.csv").write_text("study,score\na,0.1\nb,0.9\nc,0.8\n")
    (tmp_path / "metrics").mkdir()
    write_json(tmp_path / "metrics/evaluation.json", {"ensemble": {"box_threshold": 0.5}})
    return tmp_path


FILES = {"label_studio": "tasks.json", "cvat": "annotations.xml", "coco": "coco.json"}


@pytest.mark.parametrize("tool", FILES)
def test_what_nobody_changed_comes_back_as_it_was(project, tool, capsys):
    assert cli.main(["send", tool, "--output", "sent"]) == 0
    assert "3 studies, 2 labelled boxes, 2 suggested" in capsys.readouterr().out
    assert cv2.imread(str(project / "sent/images/c.png")).shape[:2] == (48, 64)
    assert cli.main(["take", tool, f"sent/{FILES[tool]}", "--output", "taken"]) == 0
    said = capsys.readouterr().out
    assert "1 studies are not in the file, or not looked at, and stay as they are" in said
    assert "3 studies looked at, 0 changed; boxes: 0 added, 0 moved, 0 removed" in said
    assert (project / "taken/stage_2_train_labels.csv").read_text() == LABELS
    assert (project / "taken/stage_2_detailed_class_info.csv").read_text() == CLASSES


def test_corrections_become_new_labels_and_a_diff(project, capsys):
    cli.main(["send", "coco", "--output", "sent"])
    data = json.loads((project / "sent/coco.json").read_text())
    for item in data["annotations"]:
        if item["category_id"] == 1:
            item["bbox"][2] += 2.0  # a and c are made wider
            item["segmentation"] = []
        elif item["score"] == 0.9:
            item["category_id"] = 1  # b's suggestion is taken over
    (project / "export.json").write_text(json.dumps(data))
    assert cli.main(["take", "coco", "export.json", "--output", "taken"]) == 0
    said = capsys.readouterr().out
    assert "1 boxes are still labelled suggested" in said
    assert "3 studies looked at, 3 changed; boxes: 1 added, 2 moved, 0 removed" in said
    rows = (project / "taken/stage_2_train_labels.csv").read_text().splitlines()
    assert rows[1:] == ["a,1,2,32,40,1", "b,10,10,20,20,1", "c,5,5,22,20,1", "d,,,,,0"]
    assert "b,Lung Opacity" in (project / "taken/stage_2_detailed_class_info.csv").read_text()
    diff = pd.read_csv(project / "taken/diff.csv")
    assert diff[["study", "change", "iou"]].fillna(0).to_numpy().tolist() == [
        ["a", "moved", 0.9375],  # 30 / 32
        ["b", "added", 0.0],
        ["c", "moved", 0.9091],  # 20 / 22
    ]


def test_a_study_that_lost_its_boxes_must_be_named(project, capsys):
    cli.main(["send", "cvat", "--output", "sent", "--no-findings"])
    text = (project / "sent/annotations.xml").read_text().splitlines()
    (project / "export.xml").write_text("\n".join(line for line in text if "<box" not in line))
    assert cli.main(["take", "cvat", "export.xml", "--output", "taken"]) == 2
    assert "2 studies have lost their last box, such as a, c" in capsys.readouterr().err
    assert not (project / "taken").exists()
    assert cli.main(["take", "cvat", "export.xml", "--output", "taken", "--cleared", "not_normal"]) == 0


def test_worst_lists_and_draws_and_can_be_sent(project, capsys):
    assert cli.main(["worst", "--output", "worst"]) == 0
    rows = pd.read_csv(project / "worst/worst.csv", keep_default_na=False)
    assert rows[["rank", "study", "kind"]].to_numpy().tolist() == [
        [1, "a", "box_not_found"],
        [1, "a", "label_positive"],
        [2, "b", "label_negative"],
        [2, "b", "box_not_labelled"],
    ]
    assert sorted(path.name for path in (project / "worst").glob("*.png")) == ["0001-a.png", "0002-b.png"]
    assert "2 of 3 studies are in doubt" in capsys.readouterr().out
    assert cli.main(["send", "label_studio", "--studies", "worst/worst.csv", "--output", "sent"]) == 0
    tasks = json.loads((project / "sent/tasks.json").read_text())
    assert [task["data"]["study"] for task in tasks] == ["a", "b"]


def test_a_study_that_is_not_there_is_named():
    studies = pd.DataFrame({"study": ["a"], "rows": [1], "columns": [1]})
    boxes = pd.DataFrame(columns=["study", "x", "y", "width", "height"])
    with pytest.raises(ValueError, match="1 studies are not in data/clean: z"):
        gather(studies, boxes, boxes.assign(score=[]), ["z"], threshold=0.5)
