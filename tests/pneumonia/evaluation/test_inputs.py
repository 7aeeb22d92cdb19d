"""What evaluate reads."""

from __future__ import annotations

import pytest
from tests.pneumonia.evaluation.evaluation_project import write_project

from pneumonia.evaluation.inputs import paths, read

EVERY = ("classifier", "maskrcnn", "yolo", "ensemble")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    write_project(root, studies=8)
    return root


def test_paths_are_what_read_needs(project):
    assert paths(["classifier"]) == [
        "data/clean/studies.csv", "data/clean/boxes.csv", "data/split/split.csv",
        "data/predictions/classifier/scores.csv",
    ]  # fmt: skip
    assert paths(["ensemble"])[3:] == ["data/ensemble/scores.csv", "data/ensemble/detections.csv"]
    assert all((project / path).is_file() for path in paths(EVERY))
    assert read(project, ["classifier"]).predictions["classifier"].detections is None


def test_content(project):
    inputs = read(project, EVERY)
    assert list(inputs.predictions) == ["classifier", "maskrcnn", "yolo", "ensemble"]
    assert inputs.split.iloc[1:3].to_numpy().tolist() == [["s001", 0, "validation"], ["s002", -1, "holdout"]]
    assert inputs.boxes["width"].tolist() == [100.0, 103.0, 106.0]
    assert inputs.studies.loc[5, ["study", "person", "view", "rows"]].tolist() == ["s005", "p2", "AP", 500]
