"""The image library says of the image what its header says, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.radiographs import chest, image

pytest.importorskip("highdicom")

from pneumonia.reading_room.objects.image_library import image_library
from pneumonia.reading_room.objects.source import read_source


def entries(data: bytes) -> list[Any]:
    groups = image_library(read_source(data)).get("ContentSequence", [])
    return [entry for group in groups for entry in group.ContentSequence]


def said(data: bytes) -> dict[str, Any]:
    """Name and value of each descriptor of the only entry."""
    (entry,) = entries(data)
    values = {}
    for item in entry.ContentSequence:
        assert item.RelationshipType == "HAS ACQ CONTEXT"
        value = item.value
        values[item.name.meaning] = (value.value, value.scheme_designator) if item.ValueType == "CODE" else value
    return values


def test_all_that_is_said():
    data = chest(Modality="DX", PatientOrientation=["L", "F"], ImagerPixelSpacing=["0.139", "0.143"])
    assert said(data) == {
        "Modality": ("DX", "DCM"),
        "Target Region": ("51185008", "SCT"),
        "Pixel Data Rows": 48,
        "Pixel Data Columns": 64,
        "Image View": ("272479007", "SCT"),
        "Patient Orientation Row": "L",
        "Patient Orientation Column": "F",
        "Horizontal Pixel Spacing": 0.143,  # the second value, from column to column
        "Vertical Pixel Spacing": 0.139,
    }
    (entry,) = entries(data)
    (reference,) = entry.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == "1.2.3.4"


def test_what_is_not_said_is_not_there():
    assert list(said(image())) == ["Modality", "Pixel Data Rows", "Pixel Data Columns"]


def test_what_nobody_can_read_says_nothing():
    data = image(ImagerPixelSpacing=["0.139", "0.143"]).replace(b"0.139\\0.143", b"0.x39\\0.143")
    assert list(said(data)) == ["Modality", "Pixel Data Rows", "Pixel Data Columns"]


@pytest.mark.parametrize(
    "elements",
    [
        {"ViewPosition": "PA ERECT"},
        {"ViewPosition": ["PA", "AP"]},
        {"BodyPartExamined": "ABDOMEN"},
        {"PatientOrientation": "L"},
        {"PatientOrientation": ["LA", "X"]},
        {"PatientOrientation": ["", ""]},
        {"ImagerPixelSpacing": ["0", "0"]},
        {"ImagerPixelSpacing": "0.139"},
    ],
    ids=str,
)
def test_words_that_are_not_known_are_not_guessed(elements: dict[str, Any]):
    assert list(said(image(**elements))) == ["Modality", "Pixel Data Rows", "Pixel Data Columns"]


def test_no_entry_without_a_modality():
    assert entries(image(Modality="OT")) == []
    assert entries(image(Modality="")) == []
    assert entries(image(Modality=None)) == []
