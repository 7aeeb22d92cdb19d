"""Results as DICOM: read back with other eyes, they say what was found, of the right image, and the same at every run."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from tests.dicom_files import encode, jpeg
from tests.radiographs import IMAGE, image

pytest.importorskip("highdicom")

from pneumonia.reading_room.objects.findings import WARNING, Algorithm, Findings, algorithm, of_study, uid
from pneumonia.reading_room.objects.make import make, write
from pneumonia.reading_room.objects.source import read_source
from pneumonia.rejection import StudyError

ALGORITHM = Algorithm("1.2.3", "ab" * 32, "gate")
BOXES = np.array([[8.0, 4.5, 10.25, 20.0], [40.0, 30.0, 24.0, 18.0]])
FOUND = Findings(BOXES, np.array([0.875, 0.5]), 0.9, 0.25)
IDENTITY = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
NOTHING = Findings(np.zeros((0, 4)), np.zeros(0), 0.125, 0.25)


def written(folder: Path, data: bytes, findings: Findings, **options: Any) -> dict[str, Dataset]:
    """As another program reads them from disk."""
    paths = write(folder, "study", make(data, IMAGE, findings, ALGORITHM, capture=True, **options))
    return {path.name.split(".")[1]: dcmread(path) for path in paths}


def presence(group: Any) -> list[str]:
    said = group.get_qualitative_evaluations()
    return [each.value.meaning for each in said if each.name.meaning == "Presence"]


def test_the_report_says_each_box_and_score(tmp_path: Path):
    from highdicom.sr import srread

    written(tmp_path, image(), FOUND)
    content = srread(tmp_path / "study.sr.dcm").content
    regions = content.get_planar_roi_measurement_groups()
    assert len(regions) == 2
    for region, (x, y, width, height), score in zip(regions, BOXES, FOUND.scores, strict=True):
        points = region.roi.value
        assert points.min(0).tolist() == [x, y]
        assert points.max(0).tolist() == [x + width, y + height]
        assert points[0].tolist() == points[-1].tolist()  # closed
        (certainty,) = region.get_measurements()
        assert certainty.name.meaning == "Certainty of Finding"
        assert certainty.value == 100 * score
        assert certainty.unit.value == "%"
        assert region.finding_type.meaning == "Opacity"
    (whole,) = content.get_image_measurement_groups()
    assert whole.get_measurements()[0].value == pytest.approx(90)
    assert presence(whole) == ["Present"]
    stored = (tmp_path / "study.sr.dcm").read_bytes()
    for words in (WARNING, "score of at least 0.250000", "ab" * 32, "1.2.3"):
        assert words.encode() in stored


def test_the_report_says_what_was_mended_for_the_image(tmp_path: Path):
    from highdicom.sr import srread

    note = "RescaleSlope has a decimal comma, which is read as a decimal point."
    written(tmp_path, image(), replace(FOUND, notes=(note,)))
    (whole,) = srread(tmp_path / "study.sr.dcm").content.get_image_measurement_groups()
    (identification,) = [item for item in whole[0].ContentSequence if item.name.meaning == "Algorithm Name"]
    parameters = [
        item.TextValue for item in whole[0].ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111002"
    ]
    assert identification.value == "pneumonia"
    assert parameters[-1] == f"Image: {note}"
    assert not any(said.startswith("Image: ") for said in parameters[:-1])


def test_a_negative_study_says_so(tmp_path: Path):
    from highdicom.sr import srread

    objects = written(tmp_path, image(), NOTHING)
    content = srread(tmp_path / "study.sr.dcm").content
    assert content.get_planar_roi_measurement_groups() == []
    (whole,) = content.get_image_measurement_groups()
    assert presence(whole) == ["Absent"]
    assert whole.get_measurements()[0].value == 12.5
    (annotation,) = objects["pr"].GraphicAnnotationSequence
    assert "GraphicObjectSequence" not in annotation
    assert annotation.TextObjectSequence[0].UnformattedTextValue == (
        f"AI: No opacity: image score 0.12 (threshold of boxes 0.25). {WARNING}"
    )


def test_the_presentation_state_draws_them_over_the_image(tmp_path: Path):
    state = written(tmp_path, image(), FOUND)["pr"]
    (annotation,) = state.GraphicAnnotationSequence
    (reference,) = annotation.ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == "1.2.3.4"
    for drawn, (x, y, width, height) in zip(annotation.GraphicObjectSequence, BOXES, strict=True):
        points = np.reshape(drawn.GraphicData, (-1, 2))
        assert points.min(0).tolist() == [x, y]
        assert points.max(0).tolist() == [x + width, y + height]
    words = [text.UnformattedTextValue for text in annotation.TextObjectSequence]
    assert words == ["88%", "50%", f"AI: Opacity present: score 0.88 (threshold 0.25). {WARNING}"]
    assert state.PresentationLUTShape == "IDENTITY"
    assert (
        written(tmp_path, image(PhotometricInterpretation="MONOCHROME1"), FOUND)["pr"].PresentationLUTShape == "INVERSE"
    )


def test_the_capture_has_them_burnt_in(tmp_path: Path):
    capture = written(tmp_path, image(), FOUND)["sc"]
    assert (capture.BurnedInAnnotation, capture.PhotometricInterpretation) == ("YES", "RGB")
    pixels = capture.pixel_array.astype(int)
    assert pixels.shape[1:] == (64, 3)
    assert not np.ptp(pixels[48:], axis=-1).any()  # the words stand below the image, in white on black
    assert pixels[48:].max() > 200
    untouched = ~np.ptp(pixels[:48], axis=-1).astype(bool)
    assert (pixels[:48, :, 0][untouched] == IMAGE[untouched]).mean() > 0.9
    pixels = pixels[:48]
    coloured = np.ptp(pixels, axis=-1) > 60
    assert coloured[30:48, 40].mean() > 0.8  # the left edge of the second box
    assert not coloured[40:, :36].any()


def test_the_capture_invents_no_orientation_and_names_its_source(tmp_path: Path):
    capture = written(tmp_path, image(), FOUND)["sc"]
    assert "PatientOrientation" in capture
    assert not capture.PatientOrientation
    assert not {"PixelSpacing", "ImagerPixelSpacing", "LossyImageCompression"} & set(capture.dir())
    (source,) = capture.SourceImageSequence
    assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == ("1.2.840.10008.5.1.4.1.1.1", "1.2.3.4")
    known = {
        "PatientOrientation": ["LA", "F"], "PixelSpacing": ["0.2", "0.2"], "ImagerPixelSpacing": ["0.21", "0.21"],
        "PixelSpacingCalibrationType": "FIDUCIAL", "PixelSpacingCalibrationDescription": "a ball of steel",
        "LossyImageCompression": "01", "LossyImageCompressionRatio": ["10", "2.5"],
        "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_15444_1"],
    }  # fmt: skip
    capture = written(tmp_path, image(**known), FOUND)["sc"]
    for name in (
        "PatientOrientation",
        "PixelSpacingCalibrationType",
        "LossyImageCompression",
        "LossyImageCompressionMethod",
    ):
        assert capture[name].value == known[name]
    assert [float(side) for side in capture.PixelSpacing] == [0.2, 0.2]
    assert [float(side) for side in capture.ImagerPixelSpacing] == [0.21, 0.21]
    assert [float(ratio) for ratio in capture.LossyImageCompressionRatio] == [10, 2.5]


def test_what_its_encoding_lost_is_said_of_the_capture():
    source = read_source(encode(jpeg(IMAGE, **IDENTITY)[0]))
    assert (source.LossyImageCompression, source.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    source = read_source(encode(jpeg(IMAGE, **IDENTITY, LossyImageCompression="00")[0]))
    assert source.LossyImageCompression == "01"


def test_a_corrected_patient_gives_other_objects(tmp_path: Path):
    changes: list[dict[str, Any]] = [
        {}, {"PatientID": "P2"}, {"PatientName": "Roe^Jane"}, {"PatientBirthDate": "19500103"}, {"PatientSex": "M"},
        {"AccessionNumber": "A8"}, {"IssuerOfPatientID": "HOSPITAL"}, {"ReferringPhysicianName": "Roe"},
    ]  # fmt: skip
    made = [make(image(**each), IMAGE, FOUND, ALGORITHM, capture=True) for each in changes]
    made += [
        make(image(), IMAGE, replace(FOUND, **each), ALGORITHM, capture=True)
        for each in ({"boxes": BOXES + 1}, {"scores": FOUND.scores / 2}, {"study_score": 0.8}, {"notes": ("HighBit.",)})
    ]
    for kind in ("sr", "pr", "sc"):
        uids = [str(each[kind].SOPInstanceUID) for each in made]
        same = {"sr": 0, "pr": 2, "sc": 2}[kind]  # neither says the image's score beside a box, nor a note
        assert len(set(uids)) == len(made) - same, kind
        for each in made:
            assert each[kind].file_meta.MediaStorageSOPInstanceUID == each[kind].SOPInstanceUID
        assert len({str(each[kind].SeriesInstanceUID) for each in made}) == len(set(uids))


def test_what_is_stored_does_not_depend_on_the_company_of_a_batch():
    def found(noise: float) -> Findings:
        table = pd.DataFrame(
            [["a", 8.04, 4.5, 10.23, 20.0, 0.7104]], columns=["study", "x", "y", "width", "height", "score"]
        )
        table[["x", "y", "width", "height"]] += 1000 * noise
        table["score"] += noise
        return of_study(table, "a", 0.6004 + noise, 0.71038)

    alone, batched = found(0), found(1e-6)
    assert alone.boxes.tolist() == batched.boxes.tolist() == [[8.0, 4.5, 10.25, 20.0]]
    assert (
        alone.scores.tolist() == batched.scores.tolist() == [0.71038]
    )  # 0.710, but no box is below the operating point
    assert alone.study_score == batched.study_score == 0.6


def test_identity_is_copied_and_each_kind_has_its_series(tmp_path: Path):
    objects = written(tmp_path, image(), FOUND)
    for made in objects.values():
        assert (made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex) == (
            "Doe^Jane", "P1", "19500102", "F"
        )  # fmt: skip
        assert (made.StudyInstanceUID, made.StudyDate, made.AccessionNumber, made.StudyID) == (
            "1.2.3", "20240305", "A7", "S1"
        )  # fmt: skip
    series = {str(made.SeriesInstanceUID) for made in objects.values()}
    assert len(series) == 3
    assert "1.2.3.1" not in series


def test_a_rerun_gives_the_same_objects_and_another_result_others(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, image(), FOUND)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    first = make(image(), IMAGE, FOUND, ALGORITHM)
    others = [
        make(image(), IMAGE, Findings(BOXES, FOUND.scores, 0.9, 0.3), ALGORITHM),
        make(image(), IMAGE, FOUND, Algorithm("1.2.3", "cd" * 32, "gate")),
        make(image(), IMAGE, FOUND, Algorithm("1.2.3", "ab" * 32, "no gate")),
        make(image(), IMAGE, FOUND, Algorithm("1.2.4", "ab" * 32, "gate")),
        make(image(SOPInstanceUID="1.2.3.5"), IMAGE, FOUND, ALGORITHM),
    ]
    for kind in ("sr", "pr"):
        assert len({made[kind].SOPInstanceUID for made in (first, *others)}) == 6


def test_what_a_pseudonymizer_broke_is_left_empty():
    source = read_source(image(StudyDate="d14a028c", StudyTime="noon", AccessionNumber="d14a028c2a3a2bc9476102bb"))
    assert (source.StudyDate, source.StudyTime, source.AccessionNumber) == ("", "", "")
    assert source.StudyID == "S1"


def test_an_image_without_a_name_is_refused():
    with pytest.raises(StudyError, match="has no StudyInstanceUID, so no DICOM object can refer to it"):
        read_source(image(StudyInstanceUID=None))
    with pytest.raises(StudyError, match="wanted at most 1,024"):
        read_source(image(PatientID="x" * 2000))


def test_algorithm_follows_the_models_and_the_params(tmp_path: Path):
    own = ("yolo",)
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "weights").write_bytes(b"1")
    first = algorithm(tmp_path, own, "1", {"a": 1})
    assert algorithm(tmp_path, own, "1", {"a": 1}) == first
    assert algorithm(tmp_path, own, "1", {"a": 2}).settings != first.settings
    for name in ("exported", "maskrcnn"):  # read from its own folder; off
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"3")
    assert algorithm(tmp_path, own, "1", {"a": 1}) == first
    assert algorithm(tmp_path, ("maskrcnn", "yolo"), "1", {"a": 1}).digest != first.digest
    (tmp_path / "yolo" / "weights").write_bytes(b"2")
    assert algorithm(tmp_path, own, "1", {"a": 1}).digest != first.digest
    assert uid("a", "b") != uid("ab", "")
    assert uid("a").startswith("2.25.")
    assert len(uid("a")) <= 64


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("findings", [FOUND, NOTHING], ids=["positive", "negative"])
def test_dciodvfy_finds_no_error(tmp_path: Path, findings: Findings):
    written(tmp_path, image(), replace(findings, notes=("HighBit is taken for BitsStored - 1.",)))
    for path in tmp_path.glob("*.dcm"):
        said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == [], path.name


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (dcmtk) is not installed")
def test_dsrdump_reads_the_same_boxes(tmp_path: Path):
    written(tmp_path, image(), FOUND)
    text = subprocess.run(["dsrdump", tmp_path / "study.sr.dcm"], capture_output=True, text=True, check=True).stdout
    assert '(,,"Certainty of Finding")="87.5"' in text
    assert "POLYLINE,8/4.5" in text
