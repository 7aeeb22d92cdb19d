"""COCO JSON through fetch and clean: literal boxes, pycocotools on the same file, and what is refused."""

import copy
import json

import pytest
from tests.foreign_sets import Cleaned, picture

CATEGORIES = [{"id": 3, "name": "pneumonia"}]
DATA = {
    "images": [
        {"id": 10, "file_name": "a.png", "width": 200, "height": 100},
        {"id": 7, "file_name": "b.png", "width": 200, "height": 100},
        {"id": 8, "file_name": "c.jpg", "width": 200, "height": 100},
    ],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 3, "bbox": [10, 20, 30, 40.5], "area": 1215, "iscrowd": 0},
        {"id": 2, "image_id": 10, "category_id": 3, "bbox": [100, 5, 50, 60], "area": 3000, "iscrowd": 0},
        {"id": 3, "image_id": 8, "category_id": 3, "bbox": [190, 80, 20, 10], "area": 200, "iscrowd": 0},
    ],
    "categories": CATEGORIES,
}
FILES = {"images/a.png": picture(), "images/b.png": picture(), "images/c.jpg": picture(".jpg")}


def files(data=DATA, **more):
    return FILES | {"annotations/instances.json": json.dumps(data)} | more


def changed(change):
    data = copy.deepcopy(DATA)
    change(data)
    return data


def test_boxes_classes_and_images_are_those_of_the_file(tmp_path):
    made = Cleaned(tmp_path, "coco", files(), unmarked="normal")
    assert made.boxes == [
        ("a", 10.0, 20.0, 30.0, 40.5),
        ("a", 100.0, 5.0, 50.0, 60.0),
        ("c", 190.0, 80.0, 10.0, 10.0),  # cut at the border, as clean does
    ]
    assert made.of("category") == {"a": "opacity", "b": "normal", "c": "opacity"}
    assert made.of("columns") == {"a": 200, "b": 200, "c": 200}
    assert made.of("person") == {"a": "a", "b": "b", "c": "c"}  # unknown: each its own
    assert made.of("view") == {"a": "", "b": "", "c": ""}
    assert made.metrics["mended"]["box_clipped"] == 1


def test_pycocotools_reads_the_same_boxes(tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is the reference here")
    made = Cleaned(tmp_path, "coco", files(), unmarked="normal")
    reference = coco.COCO(str(tmp_path / "set/annotations/instances.json"))
    wanted = []
    for image in reference.loadImgs(reference.getImgIds()):
        for found in reference.loadAnns(reference.getAnnIds(imgIds=image["id"], catIds=[3])):
            x, y, width, height = found["bbox"]
            right, bottom = min(x + width, image["width"]), min(y + height, image["height"])
            wanted.append((image["file_name"].split(".")[0], x, y, right - x, bottom - y))
    assert sorted(wanted) == made.boxes


def test_of_several_classes_those_named_are_opacities_and_the_others_make_an_image_not_normal(tmp_path):
    data = changed(lambda d: d["categories"].append({"id": 4, "name": "nodule"}))
    data["annotations"].append({"id": 9, "image_id": 7, "category_id": 4, "bbox": [1, 1, 9, 9]})
    made = Cleaned(tmp_path, "coco", files(data), opacity=["pneumonia"])
    assert made.of("category") == {"a": "opacity", "b": "not_normal", "c": "opacity"}
    with pytest.raises(ValueError, match=r"which of the 2 classes.*nodule, pneumonia"):
        Cleaned(tmp_path / "2", "coco", files(data))
    with pytest.raises(ValueError, match="opacity names opacity; the classes here are nodule, pneumonia"):
        Cleaned(tmp_path / "3", "coco", files(data), opacity=["opacity"])


def test_an_image_without_box_is_not_taken_for_normal_unasked(tmp_path):
    with pytest.raises(ValueError, match=r"1 images have no box, such as b, .*set fetch\.foreign\.unmarked"):
        Cleaned(tmp_path, "coco", files())


def test_what_clean_judges(tmp_path):
    def change(data):
        data["images"].append({"id": 11, "file_name": "gone.png"})
        data["annotations"] += [
            {"id": 20, "image_id": 11, "category_id": 3, "bbox": [1, 1, 9, 9]},
            {"id": 21, "image_id": 8, "category_id": 3, "bbox": [50, 50, -20, 10]},
            {"id": 22, "image_id": 7, "category_id": 3, "bbox": [500, 500, 20, 10]},
            {"id": 23, "image_id": 10, "category_id": 3, "bbox": [100, 5, 50, 60]},
        ]

    made = Cleaned(tmp_path, "coco", files(changed(change), **{"images/stranger.png": picture()}))
    assert made.reasons == {
        "gone": "label_without_image",
        "c": "box_invalid",
        "b": "box_outside_image",
        "stranger": "image_without_label",
    }
    assert made.metrics["mended"]["duplicate_label_row"] == 1
    assert len(made.boxes) == 2


REFUSED = {
    "another size": (lambda d: d["images"][0].update(width=100), "1 images have another height and width.*a .said 100 x 100"),
    "crowd": (lambda d: d["annotations"][0].update(iscrowd=1), "annotation 1 is a crowd"),
    "turned": (lambda d: d["annotations"][0].update(bbox=[1, 2, 3, 4, 5]), "annotation 1: bbox: wanted 4 numbers"),
    "no box": (lambda d: d["annotations"][0].pop("bbox"), "annotation 1: bbox: wanted 4 numbers"),
    "text": (lambda d: d["annotations"][0].update(bbox=["1", 2, 3, 4]), "annotation 1: bbox"),
    "nan": (lambda d: d["annotations"][0].update(bbox=[float("nan"), 2, 3, 4]), "annotation 1: bbox"),
    "image id": (lambda d: d["annotations"][1].update(image_id=99), "annotation 2: image_id 99 is none"),
    "text id": (lambda d: d["annotations"][1].update(image_id="10"), "annotation 2: image_id '10' is none"),
    "category id": (lambda d: d["annotations"][1].update(category_id=1), "annotation 2: category_id 1 is none"),
    "image twice": (lambda d: d["images"][1].update(id=10), "images: 1 ids come more than once: 10"),
    "annotation twice": (lambda d: d["annotations"][1].update(id=1), "1 annotation ids come more than once: 1"),
    "name twice": (lambda d: d["images"][1].update(file_name="x/a.png"), "1 file names come more than once: a"),
    "category twice": (lambda d: d["categories"].append({"id": 5, "name": "pneumonia"}), "several categories are named"),
    "no images": (lambda d: d.pop("images"), "no list 'images'"),
    "no file name": (lambda d: d["images"][0].pop("file_name"), "image 10 has no file_name"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_is_refused(tmp_path, name):
    change, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        Cleaned(tmp_path, "coco", files(changed(change)), unmarked="normal")


def test_one_of_several_json_files_is_named(tmp_path):
    more = {"other.json": "{}"}
    with pytest.raises(ValueError, match=r"wanted one JSON .*found annotations/instances.json, other.json"):
        Cleaned(tmp_path, "coco", files(**more), unmarked="normal")
    made = Cleaned(tmp_path / "2", "coco", files(**more), unmarked="normal", annotations="annotations/instances.json")
    assert len(made.boxes) == 3


def test_a_name_that_two_folders_hold_is_not_guessed(tmp_path):
    more = {"train/a.png": picture(), "images/b.png": picture()}
    with pytest.raises(ValueError, match=r"a\.png may be images/a\.png, train/a\.png"):
        Cleaned(tmp_path, "coco", files(**more), unmarked="normal")
    made = Cleaned(tmp_path / "2", "coco", files(**more), unmarked="normal", images="images")
    assert made.reasons == {}
