"""VinDr-CXR through fetch and clean: the consensus worked out by hand, classes by radiologist, and what is refused."""

import pytest
from tests.foreign_sets import Cleaned
from tests.radiographs import chest

from pneumonia.sources.foreign.vindr import Drawn, consensus

# Images are 64 x 48 pixels. R1 and R2 agree on a (IoU 200 / 240 of 10x20 and 12x20); R3 has another place.
TRAIN = """image_id,rad_id,class_name,x_min,y_min,x_max,y_max
a,R1,Consolidation,10,10,20,30
a,R2,Infiltration,10,10,22,30
a,R3,Consolidation,40,10,60,40
b,R1,No finding,,,,
b,R2,No finding,,,,
b,R3,No finding,,,,
c,R1,Nodule/Mass,1,1,9,9
c,R2,No finding,,,,
c,R3,No finding,,,,
d,R1,Infiltration,5,5,20,20
d,R2,No finding,,,,
d,R3,No finding,,,,
"""
TRAIN_LABELS = """image_id,rad_id,Consolidation,Infiltration,Nodule/Mass,Pneumonia,No finding
a,R1,1,0,0,1,0
a,R2,0,1,0,0,0
a,R3,1,0,0,0,0
b,R1,0,0,0,0,1
b,R2,0,0,0,0,1
b,R3,0,0,0,0,1
c,R1,0,0,1,0,0
c,R2,0,0,0,0,1
c,R3,0,0,0,0,1
d,R1,0,1,0,0,0
d,R2,0,0,0,0,1
d,R3,0,0,0,0,1
"""
TEST = "image_id,class_name,x_min,y_min,x_max,y_max\ne,Consolidation,1,2,31,42\nf,No finding,,,,\n"
TEST_LABELS = "image_id,Consolidation,Infiltration,No finding\ne,1.0,0.0,0.0\nf,0.0,0.0,1.0\n"
OPACITY = ["Consolidation", "Infiltration"]


def files(**more):
    return {
        "annotations/annotations_train.csv": TRAIN,
        "annotations/image_labels_train.csv": TRAIN_LABELS,
        "annotations/annotations_test.csv": TEST,
        "annotations/image_labels_test.csv": TEST_LABELS,
        **{f"train/{image}.dicom": chest() for image in "abcd"},
        **{f"test/{image}.dicom": chest() for image in "ef"},
    } | more


def test_a_box_that_enough_radiologists_drew_is_their_mean(tmp_path):
    made = Cleaned(tmp_path, "vindr", files(), opacity=OPACITY, radiologists=2, agreement=0.4)
    assert made.boxes == [("a", 10.0, 10.0, 11.0, 20.0), ("e", 1.0, 2.0, 30.0, 40.0)]
    assert made.of("category") == {"a": "opacity", "b": "normal", "c": "not_normal", "e": "opacity", "f": "normal"}
    assert made.reasons == {"d": "labels_disagree"}
    assert set(made.of("view").values()) == {"PA"}  # from the headers


def test_one_radiologist_is_enough_where_that_is_wanted(tmp_path):
    made = Cleaned(tmp_path, "vindr", files(), opacity=OPACITY, radiologists=1, agreement=0.4)
    assert made.boxes == [
        ("a", 10.0, 10.0, 11.0, 20.0),
        ("a", 40.0, 10.0, 20.0, 30.0),
        ("d", 5.0, 5.0, 15.0, 15.0),
        ("e", 1.0, 2.0, 30.0, 40.0),
    ]


def test_a_class_that_has_no_box_leaves_a_positive_image_without_boxes(tmp_path):
    made = Cleaned(tmp_path, "vindr", files(), opacity=["Pneumonia"], radiologists=1)
    assert made.reasons == {"a": "positive_without_boxes"}


def test_boxes_join_by_overlap_and_never_two_of_one_radiologist():
    first, second, far = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 12.0), (50.0, 50.0, 5.0, 5.0)
    assert consensus([Drawn("1", first), Drawn("2", second), Drawn("3", far)], 2, 0.5) == ([(0, 0, 10, 11)], 1)
    assert consensus([Drawn("1", first), Drawn("1", second)], 2, 0.5) == ([], 2)
    assert consensus([Drawn("1", first), Drawn("1", second)], 1, 0.5) == ([first, second], 0)
    assert consensus([Drawn("1", first), Drawn("2", first), Drawn("3", first)], 3, 1.0) == ([first], 0)
    # 1 and 2 agree (10/14), 2 and 3 agree (10/15), 1 and 3 do not (6/18): the closer pair joins, 3 stays alone
    chain = [Drawn("1", (0, 0, 12, 1)), Drawn("2", (2, 0, 12, 1)), Drawn("3", (5, 0, 14, 1))]
    assert consensus(chain, 2, 0.5) == ([(1, 0, 12, 1)], 1)
    assert consensus([], 2, 0.5) == ([], 0)


def test_reversed_corners_are_for_clean(tmp_path):
    more = {"annotations/annotations_test.csv": TEST.replace("1,2,31,42", "31,2,1,42")}
    made = Cleaned(tmp_path, "vindr", files(**more), opacity=OPACITY, radiologists=2)
    assert made.reasons == {"d": "labels_disagree", "e": "box_invalid"}


REFUSED = {
    "corner": ({"annotations/annotations_train.csv": TRAIN.replace("40,10,60,40", "40,,60,40")}, "line 4, column y_min: wanted a number"),
    "reader": ({"annotations/annotations_train.csv": TRAIN.replace("a,R2,", "a,,")}, "line 3, column rad_id: wanted a value"),
    "label": ({"annotations/image_labels_train.csv": TRAIN_LABELS.replace("b,R1,0", "b,R1,2")},
              "line 5, column Consolidation: wanted 0 or 1, got '2'"),
    "column": ({"annotations/annotations_test.csv": TEST.replace("x_min", "xmin")}, "columns x_min are missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_is_refused(tmp_path, name):
    more, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        Cleaned(tmp_path, "vindr", files(**more), opacity=OPACITY, radiologists=2)


def test_what_is_left_open_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match="which of the 4 classes are an opacity"):
        Cleaned(tmp_path, "vindr", files())
    with pytest.raises(ValueError, match="radiologists is 4, but 4 images of train were read by fewer"):
        Cleaned(tmp_path / "2", "vindr", files(), opacity=OPACITY, radiologists=4)
    alone = {name: content for name, content in files().items() if "image_labels_test" not in name}
    with pytest.raises(FileNotFoundError, match=r"image_labels_test\.csv: no such table"):
        Cleaned(tmp_path / "3", "vindr", alone, opacity=OPACITY)
