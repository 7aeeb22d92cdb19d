"""CVAT for images 1.1: corners by hand, an export as its documentation has it, and what is no upright box."""

from xml.etree import ElementTree

import pytest

from pneumonia.annotation import cvat
from pneumonia.annotation.marks import Sent

SENT = [
    Sent("a", 500, 1000, ((100.0, 50.25, 200.0, 125.0),), (((10.0, 20.0, 30.0, 40.0), 0.75),)),
    Sent("b", 500, 1000),
]
SIZES = {"a": (500, 1000), "b": (500, 1000)}
# As docs.cvat.ai has an export of an images task.
EXPORT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><name>x</name><size>1</size><mode>annotation</mode></task><dumped>2024</dumped></meta>
  <image id="0" name="images/a.png" subset="default" task_id="4" width="1000" height="500">
    <box label="pneumonia" source="manual" occluded="0" xtl="1.50" ytl="2.00" xbr="31.50" ybr="42.00" z_order="0"></box>
  </image>
</annotations>
"""


@pytest.fixture
def text(tmp_path):
    cvat.write(tmp_path, SENT, "images/", "ensemble")
    return (tmp_path / cvat.NAME).read_text()


def back(tmp_path, text):
    path = tmp_path / "export.xml"
    path.write_text(text)
    return cvat.read(path, SIZES)


def test_an_image_has_its_boxes_by_corners(text):
    root = ElementTree.fromstring(text)
    assert root.findtext("version") == "1.1"
    assert [label.findtext("name") for label in root.iter("label")] == ["pneumonia", "suggested"]
    first, second = root.findall("image")
    assert (first.get("id"), first.get("name"), first.get("width"), first.get("height")) == (
        "0",
        "images/a.png",
        "1000",
        "500",
    )
    truth, guess = first
    assert [truth.get(name) for name in ("xtl", "ytl", "xbr", "ybr")] == ["100.00", "50.25", "300.00", "175.25"]
    assert (guess.get("label"), guess.findtext("attribute")) == ("suggested", "0.750000")
    assert len(second) == 0


def test_the_boxes_come_back_and_suggestions_are_said_to_count_for_nothing(tmp_path, text):
    found = back(tmp_path, text)
    assert found.boxes == {"a": [(100.0, 50.25, 200.0, 125.0)], "b": []}
    assert found.notes == ["1 boxes are still labelled suggested and count for nothing"]
    taken = back(tmp_path, text.replace('label="suggested"', 'label="pneumonia"'))
    assert taken.boxes["a"] == [(100.0, 50.25, 200.0, 125.0), (10.0, 20.0, 30.0, 40.0)]


def test_an_export_is_read(tmp_path):
    assert back(tmp_path, EXPORT).boxes == {"a": [(1.5, 2.0, 30.0, 40.0)]}


REFUSED = {
    "turned": ('z_order="0"', 'z_order="0" rotation="10.0"', "a box is turned"),
    "label": ('label="pneumonia"', 'label="mass"', "labelled 'mass'; wanted pneumonia or suggested"),
    "polygon": ("</image>", '<polygon label="pneumonia" points="1,1;2,2;3,1"/></image>', "a polygon is no upright box"),
    "tag": ("</image>", '<tag label="pneumonia"/></image>', "a tag is no upright box"),
    "size": ('width="1000"', 'width="999"', "has 999 x 500 pixels, ours has 1000 x 500"),
    "stranger": ("images/a.png", "images/z.png", "there is no study 'z'"),
    "number": ('xtl="1.50"', 'xtl="left"', "wanted numbers for xtl"),
    "nan": ('xtl="1.50"', 'xtl="nan"', "not finite"),
    "video": ("</annotations>", "<track/></annotations>", "not for video"),
    "entity": ("<annotations>", "<!DOCTYPE x [<!ENTITY a 'b'>]><annotations>", "declares a document type"),
    "cut": ("</annotations>", "", "is not XML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_upright_box_of_one_of_our_studies_is_refused(tmp_path, name):
    old, new, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        back(tmp_path, EXPORT.replace(old, new))
