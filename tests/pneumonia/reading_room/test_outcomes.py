"""One row a file, which is among the results, failed or skipped."""

from __future__ import annotations

import pytest
from tests.radiographs import chest

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.reading_room.inputs import FAILED, Entry
from pneumonia.reading_room.outcomes import Outcomes, counts, described
from pneumonia.schema.results import RENDER

AUTO = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1}


def test_a_row_a_file_in_the_order_of_the_list():
    entries = [Entry("a.dcm", "a", number=0), Entry("b.txt", "", FAILED, "why"), Entry("c.dcm", "c", number=2)]
    outcomes = Outcomes()
    outcomes.skipped(entries[2], "view: lateral")
    outcomes.read(entries[0], {"decoder": "opencv"}, "body_part: silent")
    rows = outcomes.rows(entries)
    assert rows[["path", "study", "status", "reason", "warning", "decoder", "notes"]].to_numpy().tolist() == [
        ["a.dcm", "a", "results", "", "body_part: silent", "opencv", ""],
        ["b.txt", "", "failed", "why", "", "", ""],
        ["c.dcm", "c", "skipped", "view: lateral", "", "", ""],
    ]
    assert counts(rows) == {"results": 1, "failed": 1, "skipped": 1}


def test_a_study_of_which_nothing_is_said_is_an_error():
    with pytest.raises(RuntimeError, match="neither among the results nor failed nor skipped"):
        Outcomes().rows([Entry("a.dcm", "a", number=0)])


def test_words_of_another_table():
    outcomes = Outcomes(RENDER, {"failed": "rejected"})
    entry = Entry("a.dcm", "a", number=0)
    outcomes.failed(entry, "colour")
    rows = outcomes.rows([entry])
    assert list(rows.columns) == [
        "path", "study", "status", "reason", "decoder", "window", "center", "width", "inverted", "notes"
    ]  # fmt: skip
    assert rows.iloc[0, :4].tolist() == ["a.dcm", "a", "rejected", "colour"]


def test_a_rendering_in_words():
    data = chest(WindowCenter="40.5", WindowWidth="80", PhotometricInterpretation="MONOCHROME1", PixelSpacing=[0, 0])
    said = described(study_to_uint8(data, **AUTO))
    assert said == {
        "decoder": "pydicom",
        "window": "dicom",
        "center": "40.5",
        "width": "80",
        "inverted": "yes",
        "notes": "PixelSpacing is not above 0 and not used.",
    }
    assert described(None) == {}
