"""The report's structure, word for word: what viewers that draw by coordinates and checkers of templates find in it."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from tests.radiographs import chest, image

pytest.importorskip("highdicom")

from pneumonia.reading_room.objects.findings import Algorithm, Findings
from pneumonia.reading_room.objects.source import read_source
from pneumonia.reading_room.objects.structured_report import structured_report

ALGORITHM = Algorithm("1.2.3", "ab" * 32, "gate")
FOUND = Findings(np.array([[8.0, 4.5, 10.25, 20.0], [40.0, 30.0, 24.0, 18.0]]), np.array([0.875, 0.5]), 0.9, 0.25)
NOTHING = Findings(np.zeros((0, 4)), np.zeros(0), 0.125, 0.25)
FRAME = [0, 0, 64, 0, 64, 48, 0, 48, 0, 0]  # of 48 rows and 64 columns: columns first
FIRST = [8, 4.5, 18.25, 4.5, 18.25, 24.5, 8, 24.5, 8, 4.5]
SECOND = [40, 30, 64, 30, 64, 48, 40, 48, 40, 30]


def report(findings: Findings, data: bytes | None = None) -> Dataset:
    """As another program reads it."""
    stream = io.BytesIO()
    structured_report(read_source(data or chest()), findings, ALGORITHM).save_as(stream)
    return dcmread(io.BytesIO(stream.getvalue()))


def name(item: Any) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def named(items: Any, wanted: str) -> list[Any]:
    return [item for item in items if name(item) == wanted]


def groups(made: Dataset) -> list[Any]:
    (measurements,) = named(made.ContentSequence, "Imaging Measurements")
    return list(measurements.ContentSequence)


def coordinates(items: Any) -> list[tuple[str, str, list[float], str]]:
    """Of each SCOORD: name, relationship, points, and the image they are selected from."""
    return [
        (name(item), item.RelationshipType, list(item.GraphicData), item.ContentSequence[0].ReferencedSOPSequence[0][8, 0x1155].value)
        for item in items
        if item.ValueType == "SCOORD"
    ]  # fmt: skip


def described(group: Any) -> dict[str, Any]:
    items = group.ContentSequence
    (score,) = (item for item in items if item.ValueType == "NUM")
    return {
        "tracking": named(items, "Tracking Identifier")[0].TextValue,
        "where": coordinates(items),
        "score": (name(score), float(score.MeasuredValueSequence[0].NumericValue)),
        "score is of": coordinates(score.ContentSequence),
        "says": [item.ConceptCodeSequence[0].CodeMeaning for item in named(items, "Presence")],
        "words": named(items, "Comment")[0].TextValue,
    }


def test_every_group_and_every_score_has_its_coordinates():
    assert [described(group) for group in groups(report(FOUND))] == [
        {
            "tracking": "image",
            "where": [("Source of Measurement", "CONTAINS", FRAME, "1.2.3.4")],
            "score": ("Certainty of Finding", 90),
            "score is of": [("Source of Measurement", "INFERRED FROM", FRAME, "1.2.3.4")],
            "says": ["Present"],
            "words": "Opacity; the whole image: 90.0%",
        },
        {
            "tracking": "opacity 1",
            "where": [("Image Region", "CONTAINS", FIRST, "1.2.3.4")],
            "score": ("Certainty of Finding", 87.5),
            "score is of": [("Source of Measurement", "INFERRED FROM", FIRST, "1.2.3.4")],
            "says": [],
            "words": "Opacity: 87.5%",
        },
        {
            "tracking": "opacity 2",
            "where": [("Image Region", "CONTAINS", SECOND, "1.2.3.4")],
            "score": ("Certainty of Finding", 50),
            "score is of": [("Source of Measurement", "INFERRED FROM", SECOND, "1.2.3.4")],
            "says": [],
            "words": "Opacity: 50.0%",
        },
    ]


def test_a_negative_report_has_coordinates_too():
    (whole,) = groups(report(NOTHING))
    assert described(whole) == {
        "tracking": "image",
        "where": [("Source of Measurement", "CONTAINS", FRAME, "1.2.3.4")],
        "score": ("Certainty of Finding", 12.5),
        "score is of": [("Source of Measurement", "INFERRED FROM", FRAME, "1.2.3.4")],
        "says": ["Absent"],
        "words": "No opacity; the whole image: 12.5%",
    }


@pytest.mark.parametrize(("rows", "columns"), [(48, 64), (64, 48), (1, 3072), (3000, 2500)])
def test_the_frame_is_the_image_whatever_its_shape(rows: int, columns: int):
    (whole,) = groups(report(NOTHING, chest(Rows=rows, Columns=columns)))
    ((_, _, points, _),) = coordinates(whole.ContentSequence)
    assert (max(points[0::2]), max(points[1::2]), min(points)) == (columns, rows, 0)


def test_no_box_leaves_the_image():
    beyond = Findings(np.array([[-2.0, 40.0, 70.0, 10.0]]), np.array([0.5]), 0.5, 0.25)
    _, box = groups(report(beyond))
    ((_, _, points, _),) = coordinates(box.ContentSequence)
    assert points == [0, 40, 64, 40, 64, 48, 0, 48, 0, 40]


def test_sections_stand_in_the_order_of_the_template():
    made = report(FOUND)
    assert [name(item) for item in made.ContentSequence if item.ValueType == "CONTAINER"] == [
        "Image Library",
        "Imaging Measurements",
    ]
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_highdicom_tells_the_image_from_the_opacities(tmp_path: Path):
    from highdicom.sr import srread

    structured_report(read_source(chest()), FOUND, ALGORITHM).save_as(tmp_path / "sr.dcm")
    content = srread(tmp_path / "sr.dcm").content
    assert [group.tracking_identifier for group in content.get_image_measurement_groups()] == ["image"]
    regions = content.get_planar_roi_measurement_groups()
    assert [region.tracking_identifier for region in regions] == ["opacity 1", "opacity 2"]
    assert [region.roi.value.flatten().tolist() for region in regions] == [FIRST, SECOND]
    assert [region.get_measurements()[0].value for region in regions] == [87.5, 50]


def test_two_images_of_a_study_get_a_series_each():
    first, second = report(FOUND), report(FOUND, chest(SOPInstanceUID="1.2.3.5"))
    assert first.StudyInstanceUID == second.StudyInstanceUID == "1.2.3"
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_the_list_of_series_says_what_was_found():
    assert report(FOUND).SeriesDescription == "AI: Opacity. Research use only. Not for diagnostic use."
    assert report(NOTHING).SeriesDescription == "AI: No opacity. Research use only. Not for diagnostic use."


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("findings", [FOUND, NOTHING], ids=["positive", "negative"])
@pytest.mark.parametrize(
    "data",
    [chest(PatientOrientation=["L", "F"], ImagerPixelSpacing=["0.139", "0.143"]), image(Modality="OT")],
    ids=["much said", "nothing said"],
)
def test_dciodvfy_finds_no_error(tmp_path: Path, findings: Findings, data: bytes):
    structured_report(read_source(data), findings, ALGORITHM).save_as(tmp_path / "sr.dcm")
    said = subprocess.run(["dciodvfy", "-new", tmp_path / "sr.dcm"], capture_output=True, text=True, check=False)
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (dcmtk) is not installed")
def test_dsrdump_reads_library_frame_and_words(tmp_path: Path):
    structured_report(read_source(chest()), NOTHING, ALGORITHM).save_as(tmp_path / "sr.dcm")
    text = subprocess.run(["dsrdump", "+Pl", tmp_path / "sr.dcm"], capture_output=True, text=True, check=True).stdout
    lines = [line.strip() for line in text.splitlines()]
    for line in (
        '<has acq context CODE:(,,"Modality")=(CR,DCM,"Computed Radiography")>',
        '<has acq context CODE:(,,"Image View")=(272479007,SCT,"postero-anterior")>',
        '<contains SCOORD:(,,"Source of Measurement")=(POLYLINE,0/0,64/0,64/48,0/48,0/0)>',
        '<contains TEXT:(,,"Comment")="No opacity; the whole image: 12.5%">',
    ):
        assert line in lines
