"""A foreign set to data/raw: the same bytes again, what a sidecar and persons add, pictures that are refused, what is said."""

import json
import logging

import pandas as pd
import pytest
from tests.foreign_sets import Cleaned, picture, write
from tests.radiographs import chest

from pneumonia.archive import StudyArchive
from pneumonia.sources.foreign.fetch import fetch_labelled
from pneumonia.sources.foreign.marked import Options

COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.dcm"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10.125, 20, 30, 40]}],
    "categories": [{"id": 1, "name": "opacity"}],
}
FILES = {"a.png": picture(), "b.dcm": chest(), "labels.json": json.dumps(COCO)}
OPTIONS = Options(unmarked="normal")


def test_raw_is_as_the_challenges_and_the_same_again(tmp_path):
    for name in ("one", "two"):
        fetch_labelled("coco", write(tmp_path / "set", FILES), tmp_path / name, OPTIONS)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert one["labels.csv"].decode() == (
        "patientId,x,y,width,height,Target\na,10.125000,20.000000,30.000000,40.000000,1\nb,,,,,0\n"
    )
    assert one["classes.csv"].decode() == "patientId,class\na,Lung Opacity\nb,Normal\n"
    assert one["persons.csv"].decode() == "study,person\n"
    archive = StudyArchive(tmp_path / "one/images.zip")
    assert archive.studies == ["a", "b"]
    assert archive.read("b") == chest()  # a DICOM file is copied


def test_a_sidecar_says_what_a_picture_does_not(tmp_path, caplog):
    side = {"side.csv": "study,person,sex,age,view,spacing\na,p1,M,44,AP,0.2\nb,p1,M,44,AP,0.2\nz,p2,,,,\n"}
    with caplog.at_level(logging.WARNING):
        made = Cleaned(tmp_path, "coco", FILES | side, unmarked="normal", sidecar="side.csv")
    assert made.of("person") == {"a": "p1", "b": "p1"}
    assert made.of("view") == {"a": "AP", "b": "PA"}  # b is DICOM: its header counts
    assert (float(made.of("age")["a"]), float(made.of("spacing")["a"])) == (44.0, 0.2)
    assert "1 studies of side.csv have no image: z" in caplog.text
    assert "of 1 DICOM files only the person is taken" in caplog.text


def test_what_stays_unknown_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        Cleaned(tmp_path, "coco", FILES, unmarked="normal")
    assert "view of 1 of 1 pictures is unknown" in caplog.text
    assert "of 2 of 2 studies no person is known" in caplog.text
    assert "1 images without a box are taken for normal" in caplog.text


def test_persons_of_two_files_must_agree(tmp_path):
    persons = tmp_path / "persons.csv"
    persons.write_text("patientId,person\na,p2\nb,p3\n")
    source = write(tmp_path / "set", FILES | {"side.csv": "study,person\na,p1\n"})
    with pytest.raises(ValueError, match=r"1 studies are of other persons than .* says: a"):
        fetch_labelled(
            "coco", source, tmp_path / "raw", Options(unmarked="normal", sidecar="side.csv"), persons=persons
        )
    fetch_labelled("coco", source, tmp_path / "raw", OPTIONS, persons=persons)
    assert pd.read_csv(tmp_path / "raw/persons.csv").to_numpy().tolist() == [["a", "p2"], ["b", "p3"]]


def test_pictures_that_cannot_be_used_are_counted_and_named(tmp_path):
    source = write(tmp_path / "set", FILES | {"a.png": picture()[:300]})
    with pytest.raises(ValueError, match=r"1 pictures cannot be used: a\.png"):
        fetch_labelled("coco", source, tmp_path / "raw", OPTIONS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sidecar": "../x.csv"}, "no such sidecar"),
        ({"images": "pictures"}, "no such folder of images"),
        ({"images": "/"}, "lies outside"),
        ({"annotations": "x.json"}, "no such annotations file"),
    ],
)
def test_a_place_that_is_not_there_or_outside_is_named(tmp_path, options, said):
    with pytest.raises((FileNotFoundError, ValueError), match=said):
        fetch_labelled("coco", write(tmp_path / "set", FILES), tmp_path / "raw", Options(unmarked="normal", **options))


def test_a_source_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        fetch_labelled("yolo", tmp_path / "none", tmp_path / "raw", OPTIONS)
    with pytest.raises(ValueError, match="sha256"):
        fetch_labelled("coco", write(tmp_path / "set", FILES), tmp_path / "raw", OPTIONS, sha256="0" * 64)
