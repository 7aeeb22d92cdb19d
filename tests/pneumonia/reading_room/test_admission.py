"""Which images are read: what the header says decides, and silence is no answer."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from tests.radiographs import chest

from pneumonia.reading_room.admission import Refusal, check, check_not_another, doubt
from pneumonia.rejection import StudyError

FRONTAL, CHEST = ("AP", "PA"), ("CHEST", "THORAX")
STRICT: dict[str, Any] = {"views": FRONTAL, "body_parts": CHEST, "secondary_capture": False}
DX, DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"


def coded(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "x"
    return [item]


def verdict(views: Any = FRONTAL, body_parts: Any = CHEST, captured: bool = False, **elements: Any) -> str:
    accept = {"views": views, "body_parts": body_parts, "secondary_capture": captured}
    try:
        check(chest(**elements), **accept, announced="1.2.3.4".__eq__)
    except StudyError as error:
        return error.reason
    return "read"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, "read"),
        ({"ViewPosition": "AP"}, "read"),
        ({"ViewPosition": "pa "}, "read"),
        ({"ViewPosition": "LL"}, "view"),
        ({"ViewPosition": "LATERAL"}, "view"),
        ({"ViewPosition": None}, "view"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("272479007")}, "read"),  # postero-anterior
        ({"ViewPosition": None, "ViewCodeSequence": coded("R-10206")}, "read"),  # antero-posterior, SRT
        ({"ViewPosition": None, "ViewCodeSequence": coded("399067008")}, "view"),  # a lateral projection
        ({"ViewPosition": "LL", "ViewCodeSequence": coded("272479007")}, "view"),
        ({"BodyPartExamined": "THORAX"}, "read"),
        ({"BodyPartExamined": "ABDOMEN"}, "body_part"),
        ({"BodyPartExamined": None}, "body_part"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("51185008")}, "read"),  # chest
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("72696002")}, "body_part"),  # knee
        ({"SOPClassUID": DX}, "read"),
        ({"SOPClassUID": DX_FOR_PROCESSING}, "modality"),
        ({"SOPInstanceUID": "1.2.3.5"}, "identity"),
    ],
)
def test_the_header_decides(elements: dict[str, Any], expected: str):
    assert verdict(**elements) == expected


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("PA ERECT", "read"),
        ("AP SUPINE", "read"),
        ("PORTABLE AP", "read"),
        ("ap_portable", "read"),
        ("P-A", "read"),
        ("Chest PA", "read"),
        ("POSTERO-ANTERIOR", "read"),
        ("AP SEMI-UPRIGHT", "read"),
        ("PA AP", "view"),  # which?
        ("PORTABLE", "view"),
        ("FRONTAL", "view"),  # of the two, which?
        ("AP LORDOTIC", "view"),
        ("AP AXIAL", "view"),  # the tube is tilted, as for a lordotic view
        ("PA LLD", "view"),
        ("LATERAL PA", "view"),
        (["PA", "PA"], "read"),
        (["PA", "LL"], "view"),
        ("AP DECUBITUS", "view"),
        ("PA OBLIQUE", "view"),
        ("PA AND LATERAL", "view"),
        ("APPA", "view"),
        ("PATIENT", "view"),
    ],
)
def test_words_beside_a_view_that_leave_it_what_it_is(view: Any, expected: str):
    assert verdict(ViewPosition=view) == expected


@pytest.mark.parametrize(
    ("part", "accepted", "expected"),
    [
        ("CHEST", ["Chest"], "read"),
        ("Chest", ["CHEST"], "read"),
        ("CHEST PA", ["CHEST"], "read"),
        ("PORT CHEST", ["chest"], "read"),
        ("CHEST_PORTABLE", ["CHEST"], "read"),
        ("T-SPINE", ["T Spine"], "read"),
        ("CHEST ABDOMEN", ["CHEST"], "body_part"),
        ("CHEST LATERAL", ["CHEST"], "body_part"),
        ("PORTABLE", ["CHEST"], "body_part"),
        ("CHESTS", ["CHEST"], "body_part"),
        ("PORTABLE", ["CHEST", ""], "body_part"),  # a word that says no part is not silence
    ],
)
def test_a_body_part_is_the_same_in_capitals_or_not(part: str, accepted: list[str], expected: str):
    assert verdict(body_parts=accepted, BodyPartExamined=part) == expected


PROCESSED: list[tuple[dict[str, Any], str]] = [
    ({"ImageType": ["DERIVED", "PRIMARY"]}, "read"),  # as many a DX image for presentation is
    ({"ImageType": ["DERIVED", "PRIMARY", "", "BONE_SUPPRESSED"]}, "processed"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SOFT_TISSUE"]}, "processed"),
    ({"ImageType": ["DERIVED", "SECONDARY", "BONE"]}, "processed"),
    ({"ImageType": ["DERIVED", "SECONDARY", "CAD"]}, "processed"),
    ({"SeriesDescription": "Chest PA Bone Suppressed"}, "processed"),
    ({"SeriesDescription": "BoneSuppression"}, "processed"),
    ({"SeriesDescription": "Chest, ribs removed"}, "processed"),
    ({"SeriesDescription": "Dual-Energy soft tissue"}, "processed"),
    ({"SeriesDescription": "Chest AI results"}, "processed"),
    ({"SeriesDescription": "Chest PA without bone suppression"}, "read"),
    ({"SeriesDescription": "Bones of the chest"}, "read"),
    ({"DerivationDescription": "suppression of the bones"}, "processed"),
    ({"SeriesDescription": "Rib shadow suppression"}, "processed"),
    ({"ManufacturerModelName": "ClearRead Xray"}, "processed"),
    ({"AcquisitionDeviceProcessingDescription": "Bone suppression"}, "processed"),
    ({"AcquisitionDeviceProcessingDescription": "Soft tissue"}, "read"),  # the name of a contrast, there
    ({"ProtocolName": "Chest no bone suppression"}, "read"),
    ({"SeriesDescription": "xrBoneSuppress"}, "processed"),
    ({"SeriesDescription": "Thorax Knochenunterdrückung"}, "processed"),
    ({"SeriesDescription": "Suppression osseuse"}, "processed"),
    ({"SeriesDescription": "Companion View"}, "processed"),
    ({"SeriesDescription": "Tube and Line Visualization"}, "processed"),
    ({"SeriesDescription": "Pneumothorax Enhanced"}, "processed"),
    ({"SeriesDescription": "DeltaView"}, "processed"),
    ({"SeriesDescription": "Chest PA pneumothorax"}, "read"),
    ({"SeriesDescription": "Chest line placement"}, "read"),
    ({"SeriesDescription": "AP portable, tube check"}, "read"),
    ({"ManufacturerModelName": "Tomosynthesis"}, "read"),  # which takes plain radiographs too
    ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS"]}, "processed"),
    ({"AcquisitionDeviceProcessingDescription": "Bone Suppression OFF"}, "read"),
    ({"AcquisitionDeviceProcessingDescription": "BoneSuppression=0, Grid=1"}, "read"),
    ({"DerivationDescription": "Lossy compression"}, "read"),
    ({"DerivationCodeSequence": coded("113040")}, "read"),  # lossy compression
    ({"DerivationCodeSequence": coded("113062")}, "processed"),  # pixel by pixel subtraction
    ({"PresentationIntentType": "FOR PROCESSING"}, "processed"),
    ({"PresentationIntentType": "FOR PRESENTATION"}, "read"),
]


@pytest.mark.parametrize(("elements", "expected"), PROCESSED)
def test_a_picture_made_from_a_radiograph_is_not_one(elements: dict[str, Any], expected: str):
    assert verdict(**elements) == other(**elements) == expected
    check(chest(**elements), **STRICT, processed=True)


def test_silence_can_be_accepted():
    assert verdict(views=("PA", ""), ViewPosition=None) == "read"
    assert verdict(views=("PA", ""), ViewPosition=None, ViewCodeSequence=coded("399067008")) == "view"
    assert verdict(body_parts=("CHEST", ""), BodyPartExamined=None) == "read"
    assert (
        verdict(body_parts=("CHEST", ""), BodyPartExamined=None, AnatomicRegionSequence=coded("72696002"))
        == "body_part"
    )


def test_secondary_captures_are_read_where_that_is_wanted():
    capture = "1.2.840.10008.5.1.4.1.1.7"
    assert verdict(SOPClassUID=capture) == "modality"
    assert verdict(captured=True, SOPClassUID=capture) == "read"
    assert verdict(captured=True, SOPClassUID=capture, Modality="OT") == "modality"  # as what this node makes itself


def test_a_file_that_is_none():
    with pytest.raises(StudyError, match="not a DICOM file"):
        check(b"x" * 200, **STRICT)


def test_a_header_that_would_fill_the_memory():
    empty = Dataset()
    for name in ("AnatomicRegionSequence", "ViewCodeSequence"):
        with pytest.raises(StudyError, match=r"wanted at most 16,384"):
            check(chest(**{name: [empty] * 10_000}), **STRICT)


def test_the_reason_repeats_nothing_of_the_file():
    with pytest.raises(StudyError) as caught:
        check(chest(ViewPosition="SMITH"), **STRICT)
    assert str(caught.value) == caught.value.discreet == "view: not said to be one of AP, PA"
    assert dcmread(io.BytesIO(chest())).ViewPosition == "PA"


def test_where_no_image_was_announced_each_is_taken_for_what_it_says_it_is():
    check(chest(SOPInstanceUID="1.2.3.5"), **STRICT)


def other(**elements: Any) -> str:
    try:
        check_not_another(chest(**elements))
    except StudyError as error:
        return error.reason if isinstance(error.reason, Refusal) else "failed"
    return "read"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, "read"),
        ({"BodyPartExamined": None, "ViewPosition": None}, "read"),  # silence
        ({"BodyPartExamined": "UNKNOWN", "ViewPosition": "OTHER"}, "read"),
        ({"BodyPartExamined": None, "ViewPosition": None, "Modality": "", "SOPClassUID": "1.2.3"}, "read"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "read"),  # the challenge's files
        ({"Modality": "RG"}, "read"),
        ({"BodyPartExamined": "PORT CHEST", "ViewPosition": "AP PORTABLE"}, "read"),
        ({"BodyPartExamined": "THORAX_PA", "ViewPosition": "P-A"}, "read"),
        ({"BodyPartExamined": "CHEST SUPINE", "ViewPosition": "AP SEMI-ERECT"}, "read"),
        ({"BodyPartExamined": "HAND"}, "body_part"),
        ({"BodyPartExamined": "TSPINE"}, "body_part"),
        ({"BodyPartExamined": "SMITH"}, "body_part"),  # a word that nobody knows
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("72696002")}, "body_part"),  # knee
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("51185008")}, "read"),  # chest
        ({"ViewPosition": "LL"}, "view"),
        ({"ViewPosition": "LATERAL"}, "view"),
        ({"ViewPosition": "RLD"}, "view"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("399067008")}, "view"),  # a lateral projection
        ({"ViewPosition": None, "ViewCodeSequence": coded("272479007")}, "read"),
        ({"ViewPosition": None, "PatientOrientation": ["A", "F"]}, "view"),  # rows run from back to front
        ({"ViewPosition": None, "PatientOrientation": ["L", "F"]}, "read"),
        ({"SOPClassUID": DX}, "read"),
        ({"SOPClassUID": DX_FOR_PROCESSING}, "modality"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}, "modality"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": ""}, "modality"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"}, "modality"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "Modality": "SR"}, "modality"),
    ],
)
def test_silence_passes_and_another_image_does_not(elements: dict[str, Any], expected: str):
    assert other(**elements) == expected


def test_what_is_doubtful_is_said_of_an_image_that_is_read():
    assert doubt(chest()) == ""
    assert doubt(chest(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")) == ""
    assert doubt(chest(ViewPosition=None)) == "view: not said to be one of AP, PA"
    assert doubt(chest(BodyPartExamined="SMITH")) == "body_part: not said to show one of CHEST, THORAX"
