"""NIH ChestX-ray14 with its boxes through fetch and clean: the odd header, both releases' tables, and what is refused."""

import pytest
from tests.foreign_sets import Cleaned, picture
from tests.places import SHARED

from pneumonia.sources.foreign import nih_boxes

BOXES = """Image Index,Finding Label,Bbox [x,y,w,h],,,
00000001_000.png,Infiltrate,225.084745762712,547.019216763771,86.7796610169491,79.1864406779661,,,
00000002_000.png,Mass,10,20,30,40,,,
"""
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ENTRIES = f"""{HEADER}
00000001_000.png,Infiltration|Pneumonia,0,1,058Y,M,PA,2682,2749,0.143,0.143
00000001_001.png,No Finding,1,1,059Y,M,AP,2682,2749,0.143,0.143
00000002_000.png,Mass,0,2,81,F,PA,2500,2048,0.168,0.168
00000003_000.png,Infiltration,0,3,006M,F,AP,2500,2048,0.168,0.168
00000004_000.png,No Finding,0,4,30,F,AP,2500,2048,0.168,0.168
"""
PICTURE = picture(rows=1024, columns=1024)
OPACITY = ["Infiltration", "Pneumonia"]


def files(**more):
    return {
        "BBox_List_2017.csv": BOXES,
        "Data_Entry_2017_v2020.csv": ENTRIES,
        "images_001/images/00000001_000.png": PICTURE,
        "images_001/images/00000001_001.png": PICTURE,
        "images_002/images/00000002_000.png": PICTURE,
        "images_002/images/00000003_000.png": PICTURE,
    } | more  # fmt: skip


def test_boxes_persons_and_headers_are_nihs(tmp_path):
    made = Cleaned(tmp_path, "nih_boxes", files(), opacity=OPACITY)
    assert made.boxes == [("00000001_000", 225.08, 547.02, 86.78, 79.19)]
    assert made.of("category") == {
        "00000001_000": "opacity",
        "00000001_001": "normal",
        "00000002_000": "not_normal",
    }
    assert made.reasons == {"00000003_000": "positive_without_boxes"}
    assert made.of("person") == {"00000001_000": "1", "00000001_001": "1", "00000002_000": "2"}
    assert list(made.of("view").values()) == ["PA", "AP", "PA"]
    assert list(made.of("age").values()) == [58.0, 59.0, 81.0]
    assert list(made.of("sex").values()) == ["M", "M", "F"]
    assert set(made.of("spacing").values()) == {""}  # the table's is of the image before it was resized


def test_the_boxes_word_for_infiltration_is_understood(tmp_path):
    made = Cleaned(tmp_path, "nih_boxes", files(), opacity=["Infiltrate"])
    assert len(made.boxes) == 1


REFUSED = {
    "classes": ({}, [], "which of the 3 classes are an opacity"),
    "number": ({"BBox_List_2017.csv": BOXES.replace("547.0", "x547.0")}, OPACITY[:1], r"line 2, column y: wanted a number, got 'x547"),
    "age": ({"Data_Entry_2017_v2020.csv": ENTRIES.replace("058Y", "58 y")}, OPACITY[:1], "line 2, column Patient Age: wanted years"),
    "view": ({"Data_Entry_2017_v2020.csv": ENTRIES.replace(",PA,2682", ",LL,2682")}, OPACITY[:1], "line 2, column view: wanted AP or PA"),
    "size": ({"images_001/images/00000001_000.png": picture(rows=256, columns=256)}, OPACITY, "1 images with boxes are not of 1024 x 1024"),
    "two tables": ({"Data_Entry_2017.csv": ENTRIES}, OPACITY, "wanted one Data_Entry_2017.csv or"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_is_refused(tmp_path, name):
    more, opacity, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        Cleaned(tmp_path, "nih_boxes", files(**more), opacity=opacity)


def test_nihs_own_table_is_read():
    path = SHARED / "pretrain" / "Data_Entry_2017_v2020.csv"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    found = nih_boxes._entries(path)
    assert len(found) == 10162
    assert set(found["sex"]) == {"F", "M"}
    assert set(found["view"]) == {"AP", "PA"}
