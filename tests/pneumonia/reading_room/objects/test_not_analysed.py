"""An image that was not analysed is answered with that, and with nothing else."""

import shutil
import subprocess

import pytest
from pydicom import dcmread
from tests.radiographs import image

pytest.importorskip("highdicom")

from pneumonia.reading_room.objects.findings import WARNING, Algorithm
from pneumonia.reading_room.objects.make import not_analysed, write
from pneumonia.rejection import StudyError

ALGORITHM = Algorithm("1.2.3", "ab" * 32, "gate")
REASON = "view: not said to be one of AP, PA"


@pytest.fixture
def made(tmp_path):
    paths = write(tmp_path, "study", not_analysed(image(), REASON, ALGORITHM, capture=True))
    return {path.name.split(".")[1]: dcmread(path) for path in paths}


def test_it_says_that_and_why(made):
    assert sorted(made) == ["sc", "sr"]
    codes = [item.ConceptCodeSequence[0] for item in made["sr"].ContentSequence if item.ValueType == "CODE"]
    assert [code.CodeMeaning for code in codes][-1] == "Not Attempted"
    texts = [
        item.TextValue for item in made["sr"].ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121106"
    ]
    assert texts == [f"Not analysed: {REASON}. This says nothing of what the image shows.", WARNING]
    (reference,) = [item for item in made["sr"].ContentSequence if item.ValueType == "IMAGE"]
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert made["sc"].SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert made["sc"].pixel_array.shape == (512, 512, 3)
    assert made["sc"].pixel_array.max() == 255


def test_it_states_no_finding_and_no_chest(made):
    said = str(made["sr"]).lower()
    for word in ("opacity", "absent", "chest", "lung", "certainty", "measurement"):
        assert word not in said, word
    for each in made.values():
        assert each.SeriesDescription.startswith("AI: not analysed")
        assert (each.PatientID, each.StudyInstanceUID) == ("P1", "1.2.3")


def test_every_reason_has_its_object_and_the_same_one_at_every_run():
    again = [not_analysed(image(), reason, ALGORITHM)["sr"].SOPInstanceUID for reason in (REASON, REASON, "modality")]
    assert again[0] == again[1]
    assert again[0] != again[2]


def test_of_an_image_without_identity_there_is_none():
    with pytest.raises(StudyError, match="has no StudyInstanceUID"):
        not_analysed(image(StudyInstanceUID=None), REASON, ALGORITHM)
    with pytest.raises(StudyError, match="not a DICOM file"):
        not_analysed(b"junk", REASON, ALGORITHM)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("elements", [{}, {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}])
def test_dciodvfy_finds_no_error(tmp_path, elements):
    for path in write(
        tmp_path, "study", not_analysed(image(**elements), "modality: na\u00efve\n", ALGORITHM, capture=True)
    ):
        said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == [], path.name
