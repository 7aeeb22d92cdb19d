"""SIIM-FISABIO-RSNA COVID-19 through fetch and clean: literal boxes, studies of several images, and what is refused."""

import pytest
from tests.foreign_sets import Cleaned
from tests.radiographs import chest

BOXES = "[{'x': 1.5, 'y': 2, 'width': 30, 'height': 40}, {'x': 40, 'y': 5, 'width': 10, 'height': 20}]"
IMAGES = f"""id,boxes,label,StudyInstanceUID
a_image,"{BOXES}",opacity 1 1.5 2 31.5 42 opacity 1 40 5 50 25,s1
b_image,,none 1 0 0 1 1,s2
c_image,,none 1 0 0 1 1,s1
"""
STUDIES = """id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance
s1_study,0,1,0,0
s2_study,1,0,0,0
"""


def files(**more):
    return {
        "train_image_level.csv": IMAGES,
        "train_study_level.csv": STUDIES,
        "train/s1/x/a.dcm": chest(),
        "train/s1/y/c.dcm": chest(),
        "train/s2/x/b.dcm": chest(),
        "test/s9/x/t.dcm": chest(),
    } | more


def test_boxes_are_those_of_the_image_and_the_class_that_of_the_study(tmp_path):
    made = Cleaned(tmp_path, "siim", files(), unmarked="not_normal")
    assert made.boxes == [("a", 1.5, 2.0, 30.0, 40.0), ("a", 40.0, 5.0, 10.0, 20.0)]
    assert made.of("category") == {"a": "opacity", "b": "not_normal"}
    assert made.reasons == {"c": "positive_without_boxes"}
    assert made.of("person") == {"a": "s1", "b": "b"}  # two images of one study are of one person; b is alone


def test_a_negative_study_is_not_taken_for_normal_unasked(tmp_path):
    with pytest.raises(ValueError, match="1 images have no box, such as b"):
        Cleaned(tmp_path, "siim", files())


REFUSED = {
    "boxes": (("'width': 30", "'width': 33"), "line 2: columns boxes and label do not have the same boxes"),
    "count": ((" opacity 1 40 5 50 25", ""), "line 2: columns boxes and label do not have the same boxes"),
    "no list": (("[{'x': 1.5", "[{'q': 1.5"), "line 2, column boxes: wanted a list of x, y, width, height"),
    "label": (("none 1 0 0 1 1,s2", "none 1 0 0 1,s2"), "line 3, column label: wanted opacity or none, and 5 numbers"),
    "id": (("b_image", "b"), "line 3, column id: wanted <image>_image, got 'b'"),
    "study": ((",s2", ",s3"), "line 3, column StudyInstanceUID: 's3' is not in train_study_level.csv"),
    "negative": ((",s1\n", ",s2\n"), "line 2: it has boxes, but its study is Negative for Pneumonia"),
    "twice": (("b_image", "c_image"), "1 images come more than once: c_image"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_is_refused(tmp_path, name):
    (old, new), said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        Cleaned(tmp_path, "siim", files(**{"train_image_level.csv": IMAGES.replace(old, new)}), unmarked="normal")


def test_a_study_of_two_appearances_is_refused(tmp_path):
    with pytest.raises(ValueError, match="line 2: wanted <study>_study and one appearance of 1"):
        Cleaned(tmp_path, "siim", files(**{"train_study_level.csv": STUDIES.replace("s1_study,0,1", "s1_study,1,1")}))
