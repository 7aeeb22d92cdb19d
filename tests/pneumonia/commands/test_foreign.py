"""`pneumonia convert`. `evaluate-on`: external/test_validate.py."""

import json
from pathlib import Path

import pytest
from tests.radiographs import chest

from pneumonia import cli


def test_another_projects_set_is_converted(project: Path, capsys: pytest.CaptureFixture[str]):
    data = {
        "images": [{"id": 1, "file_name": "a.dcm"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}],
        "categories": [{"id": 1, "name": "opacity"}],
    }
    (project / "set").mkdir()
    (project / "set" / "a.dcm").write_bytes(chest())
    (project / "set" / "labels.json").write_text(json.dumps(data))
    assert cli.main(["convert", "coco", "set", "--output", "raw", "--opacity", "mass"]) == 2
    assert "opacity names mass; the classes here are opacity" in capsys.readouterr().err
    assert not (project / "raw").exists()
    assert cli.main(["convert", "coco", "set", "--output", "raw"]) == 0
    assert (project / "raw" / "labels.csv").read_text().splitlines()[1] == "a,1.000000,2.000000,30.000000,40.000000,1"
