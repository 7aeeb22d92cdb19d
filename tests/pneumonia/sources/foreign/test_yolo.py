"""YOLO text through fetch and clean, in both orders of the folders: literal boxes, and what is refused."""

import pytest
from tests.foreign_sets import Cleaned, picture

# cx 0.25, cy 0.5, w 0.1, h 0.4 of 200 x 100: centre (50, 50), sides 20 and 40
ONE, TWO = "0 0.25 0.5 0.1 0.4\n", "0 0.25 0.5 0.1 0.4\n0 0.75 0.3 0.2 0.2\n"
BOXES = [("a", 40.0, 30.0, 20.0, 40.0), ("b", 40.0, 30.0, 20.0, 40.0), ("b", 130.0, 20.0, 40.0, 20.0)]


def images_first(**more):
    return {
        "data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: opacity\n",
        "images/train/a.png": picture(), "labels/train/a.txt": ONE,
        "images/train/c.png": picture(),
        "images/val/b.png": picture(), "labels/val/b.txt": TWO,
    } | more  # fmt: skip


def subsets_first(**more):
    return {
        "data.yaml": "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['opacity']\n",
        "train/images/a.png": picture(), "train/labels/a.txt": ONE,
        "train/images/c.png": picture(), "train/labels/c.txt": "",
        "valid/images/b.png": picture(), "valid/labels/b.txt": TWO,
    } | more  # fmt: skip


def by_lists(**more):
    return {
        "data.yaml": "path: /content/somewhere\ntrain: train.txt\nval: [val.txt]\nnames: {0: opacity}\n",
        "train.txt": "./images/a.png\nimages/c.png\n", "val.txt": "images/b.png\n",
        "images/a.png": picture(), "images/b.png": picture(), "images/c.png": picture(),
        "labels/a.txt": ONE, "labels/b.txt": TWO,
    } | more  # fmt: skip


@pytest.mark.parametrize("layout", [images_first, subsets_first, by_lists])
def test_boxes_are_in_pixels_in_every_order_of_the_folders(tmp_path, layout):
    made = Cleaned(tmp_path, "yolo", layout(), unmarked="not_normal")
    assert made.boxes == BOXES
    assert made.of("category") == {"a": "opacity", "b": "opacity", "c": "not_normal"}
    assert made.reasons == {}


def test_of_several_classes_those_named_are_opacities(tmp_path):
    more = {
        "data.yaml": "train: images/train\nval: images/val\nnames: [nodule, opacity]\n",
        "labels/train/a.txt": "1 0.25 0.5 0.1 0.4\n0 0.5 0.5 0.1 0.1\n",
    }
    made = Cleaned(tmp_path, "yolo", images_first(**more), unmarked="normal", opacity=["opacity"])
    assert made.boxes == BOXES[:1]
    assert made.of("category") == {"a": "opacity", "b": "not_normal", "c": "normal"}
    with pytest.raises(ValueError, match="which of the 2 classes"):
        Cleaned(tmp_path / "2", "yolo", images_first(**more), unmarked="normal")


def test_a_text_file_without_image_and_a_line_that_comes_twice_are_for_clean(tmp_path):
    more = {"labels/train/gone.txt": ONE, "labels/train/a.txt": ONE + ONE}
    made = Cleaned(tmp_path, "yolo", images_first(**more), unmarked="normal")
    assert made.reasons == {"gone": "label_without_image"}
    assert made.metrics["mended"]["duplicate_label_row"] == 1


REFUSED = {
    "polygon": ({"labels/train/a.txt": "\n0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"}, r"a\.txt: line 2: wanted 5 values .* got 9; a polygon"),
    "score": ({"labels/train/a.txt": "0 0.5 0.5 0.1 0.1 0.9\n"}, "line 1: wanted 5 values .* got 6"),
    "class": ({"labels/train/a.txt": "1 0.5 0.5 0.1 0.1\n"}, "line 1: class '1' is none of 0"),
    "class of text": ({"labels/train/a.txt": "opacity 0.5 0.5 0.1 0.1\n"}, "line 1: class 'opacity' is none of 0"),
    "pixels": ({"labels/train/a.txt": "0 50 50 20 40\n"}, "line 1: wanted shares of the image from 0 to 1"),
    "nan": ({"labels/train/a.txt": "0 nan 0.5 0.1 0.1\n"}, "line 1: wanted shares"),
    "text": ({"labels/train/a.txt": "0 x 0.5 0.1 0.1\n"}, "line 1: wanted numbers"),
    "nc": ({"data.yaml": "train: images/train\nnc: 2\nnames: [opacity]\n"}, "nc is 2, but there are 1 names"),
    "no names": ({"data.yaml": "train: images/train\n"}, "names: wanted a list"),
    "nowhere": ({"data.yaml": "train: pictures\nnames: [opacity]\n"}, "'pictures' leads to nothing"),
    "outside": ({"data.yaml": "train: /tmp\nnames: [opacity]\n"}, "'/tmp' leads to nothing"),
    "same name": ({"images/val/a.png": picture()}, "study a has two files"),
    "two yaml": ({"other.yaml": ""}, r"wanted one data.yaml"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_is_refused(tmp_path, name):
    more, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        Cleaned(tmp_path, "yolo", images_first(**more), unmarked="normal")
