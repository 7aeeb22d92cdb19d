"""COCO JSON to a tool and back: shared with stage annotate, read by pycocotools, and what is no upright box."""

import json

import pytest

from pneumonia.annotation import coco
from pneumonia.annotation.marks import Sent

SENT = [
    Sent("b", 500, 1000, ((100.0, 50.25, 200.0, 125.0),), (((10.0, 20.0, 30.0, 40.0), 0.75),)),
    Sent("a", 400, 300),
]
SIZES = {"a": (400, 300), "b": (500, 1000)}


@pytest.fixture
def data(tmp_path):
    coco.write(tmp_path, SENT, "images/", "ensemble")
    return json.loads((tmp_path / coco.NAME).read_text())


def back(tmp_path, data):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(data))
    return coco.read(path, SIZES)


def test_the_boxes_come_back_and_suggestions_count_for_nothing(tmp_path, data):
    found = back(tmp_path, data)
    assert found.boxes == {"a": [], "b": [(100.0, 50.25, 200.0, 125.0)]}
    assert found.notes == ["1 boxes are still labelled suggested and count for nothing"]
    assert [image["file_name"] for image in data["images"]] == ["images/a.png", "images/b.png"]


def test_pycocotools_reads_both_kinds(tmp_path, data):
    reference = pytest.importorskip("pycocotools.coco", reason="pycocotools is the reference here").COCO(
        str(tmp_path / coco.NAME)
    )
    number = next(image["id"] for image in data["images"] if image["file_name"] == "images/b.png")
    for category, box in ((1, [100.0, 50.25, 200.0, 125.0]), (2, [10.0, 20.0, 30.0, 40.0])):
        (found,) = reference.loadAnns(reference.getAnnIds(imgIds=[number], catIds=[category]))
        assert found["bbox"] == box


REFUSED = {
    "polygon": (lambda d: d["annotations"][0].update(segmentation=[[100, 50, 300, 60, 200, 170]]), "outline is no upright box"),
    "turned": (lambda d: d["annotations"][0].update(segmentation=[[200, 50, 300, 99, 200, 175, 100, 99]]), "outline is no upright box"),
    "mask": (lambda d: d["annotations"][0].update(segmentation={"counts": [1], "size": [500, 1000]}, iscrowd=1), "mask or crowd"),
    "category": (lambda d: d["categories"][0].update(name="mass"), "labelled 'mass'; wanted pneumonia or suggested"),
    "image": (lambda d: d["annotations"][0].update(image_id=99), "of image 99"),
    "size": (lambda d: d["images"][0].update(width=1), "has 1 x 400 pixels, ours has 300 x 400"),
    "box": (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), "wanted 4 numbers"),
    "parts": (lambda d: d.pop("images"), "is no COCO JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_upright_box_of_one_of_our_studies_is_refused(tmp_path, data, name):
    change, said = REFUSED[name]
    change(data)
    with pytest.raises(ValueError, match=said):
        back(tmp_path, data)
