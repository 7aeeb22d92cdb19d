"""Mappings of studies to persons, as CSV and as the organizers' JSON."""

import json

import pytest
from tests.places import SHARED

from pneumonia.sources.persons import read_mapping


@pytest.mark.parametrize(
    "text",
    [
        "patientId,person\nb,0007\na,0007\n",
        "study,person\nb,0007\na,0007\na,0007\n",
        "patientId,nih_image,nih_patient\nb,0007_001.png,0007\na,0007_000.png,0007\nc,,\n",
        '"person","patientId"\n0007,b\n0007,a\n',
    ],
)
def test_csv(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    assert read_mapping(tmp_path / "p.csv").to_numpy().tolist() == [["a", "0007"], ["b", "0007"]]


def test_json(tmp_path):
    items = [
        {"subset_img_id": "b", "img_id": "00019124_092.png", "orig_labels": []},
        {"subset_img_id": "a", "img_id": "00000001_000.png", "orig_labels": ["Mass"]},
    ]
    (tmp_path / "m.json").write_text(json.dumps(items))
    assert read_mapping(tmp_path / "m.json").to_numpy().tolist() == [["a", "00000001"], ["b", "00019124"]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "patientId,who\na,b\n", "columns person are missing"),
        ("p.csv", "patientId,person\na,1\na,2\n", "1 studies have several persons, such as a"),
        ("m.json", "[{", "is not JSON"),
        ("m.json", "{}", "wanted a list of objects with subset_img_id and img_id, got dict"),
        ("m.json", '[{"subset_img_id": "a", "img_id": "x"}]', "object 0 has no subset_img_id, or no img_id like"),
    ],
)
def test_broken_mappings_say_what_is_wrong(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_mapping(tmp_path / name)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"set fetch\.persons to a CSV"):
        read_mapping(tmp_path / "p.csv")


def test_the_whole_challenge():
    path = SHARED / "labels/rsna_to_nih.csv"
    if not path.is_file():
        pytest.skip("../shared/labels is not there")
    mapping = read_mapping(path)
    assert (len(mapping), mapping["person"].nunique()) == (26586, 11410)
    assert mapping.set_index("study").loc["0004cfab-14fd-4e49-80ba-63a80b6bddd6", "person"] == "00019124"
