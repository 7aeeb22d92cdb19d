"""Reports on a radiologist's screen: OHIF opens them, on the right image, with every box in its place and every score."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from pydicom import Dataset
from tests.radiographs import IMAGE, chest
from tests.viewers.ohif import MISSING, Viewer, viewer

pytest.importorskip("highdicom")

from pneumonia.reading_room.objects.findings import Algorithm, Findings
from pneumonia.reading_room.objects.make import make, not_analysed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"OHIF cannot run here, absent: {', '.join(MISSING)}"),
]
ALGORITHM = Algorithm("1.2.3", "ab" * 32, "gate")
FOUND = Findings(np.array([[8.0, 4.5, 10.25, 20.0], [40.0, 30.0, 20.0, 16.0]]), np.array([0.875, 0.5]), 0.9, 0.25)
OTHER = Findings(np.array([[20.0, 10.0, 30.0, 12.0]]), np.array([0.625]), 0.625, 0.25)
NOTHING = Findings(np.zeros((0, 4)), np.zeros(0), 0.125, 0.25)


@pytest.fixture(scope="module")
def ohif(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    with viewer(tmp_path_factory.mktemp("ohif")) as running:
        yield running


def store(ohif: Viewer, study: str, *results: Findings) -> None:
    """An image a result, in one study, each with its objects."""
    for number, findings in enumerate(results, start=1):
        series = f"{study}.{number}"
        data = chest(
            StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=f"{series}.1", SeriesNumber=number
        )
        ohif.store(data)
        send(ohif, make(data, IMAGE, findings, ALGORITHM, capture=True))


def send(ohif: Viewer, objects: dict[str, Dataset]) -> None:
    for made in objects.values():
        stream = io.BytesIO()
        made.save_as(stream, enforce_file_format=True)
        ohif.store(stream.getvalue())


def boxes(ohif: Viewer) -> list[list[float]]:
    """x, y, width, height of each outline within the largest, which is the image's, in pixels of the image."""
    drawn = ohif.outlines()
    frame = max(drawn, key=lambda each: each[2] - each[0])
    scale = (frame[2] - frame[0]) / 64
    drawn.remove(frame)
    return [
        [round((left - frame[0]) / scale, 1), round((top - frame[1]) / scale, 1),
         round((right - left) / scale, 1), round((bottom - top) / scale, 1)]
        for left, top, right, bottom in drawn
    ]  # fmt: skip


def scores(labels: list[str]) -> list[str]:
    return sorted(label.split("%")[0].strip() for label in labels if label.startswith("Certainty of Finding: "))


def errors(ohif: Viewer) -> list[str]:
    return [message for message in ohif.messages() if "Error" in message]


def test_boxes_and_scores_of_one_image(ohif: Viewer):
    store(ohif, "1.2.31", FOUND)
    ohif.open("1.2.31", thumbnails=4)
    labels = ohif.open_report(0)
    assert scores(labels) == [f"Certainty of Finding: {score}" for score in ("50.00", "87.50", "90.00")]
    assert boxes(ohif) == [pytest.approx([8, 4.5, 10.2, 20], abs=0.11), pytest.approx([40, 30, 20, 16], abs=0.11)]
    assert errors(ohif) == []


def test_they_become_measurements_where_a_reader_wants_that(ohif: Viewer):
    store(ohif, "1.2.32", FOUND)
    ohif.open("1.2.32", thumbnails=4)
    ohif.open_report(0)
    ohif.accept()
    areas = {label.split("²")[0] for label in ohif.labels()}
    assert {
        "Area: 205 px",
        "Area: 320 px",
    } <= areas  # 10.25 by 20 and 20 by 16; that of the image may be off the screen
    assert errors(ohif) == []


def test_two_images_of_a_study_have_a_report_each(ohif: Viewer):
    store(ohif, "1.2.33", FOUND, OTHER)
    ohif.open("1.2.33", thumbnails=8)
    shown = []
    for number in (0, 1):
        labels = ohif.open_report(number)
        shown.append((len(boxes(ohif)), scores(labels)[-1]))
    assert sorted(shown) == [(1, "Certainty of Finding: 62.50"), (2, "Certainty of Finding: 90.00")]
    assert errors(ohif) == []


def test_a_negative_says_so_in_the_list_and_shows_its_score(ohif: Viewer):
    store(ohif, "1.2.34", NOTHING)
    ohif.open("1.2.34", thumbnails=4)
    assert any(words.startswith("SR AI: No opacity. Research use only.") for words, _ in ohif.thumbnails())
    assert scores(ohif.open_report(0)) == ["Certainty of Finding: 12.50"]
    assert boxes(ohif) == []
    assert errors(ohif) == []


def test_an_image_that_was_not_analysed_says_why(ohif: Viewer):
    data = chest(StudyInstanceUID="1.2.35", SeriesInstanceUID="1.2.35.1", SOPInstanceUID="1.2.35.1.1")
    ohif.store(data)
    send(ohif, not_analysed(data, "view: not said to be one of AP, PA", ALGORITHM))
    ohif.open("1.2.35", thumbnails=2)
    assert "Not analysed: view: not said to be one of AP, PA." in ohif.read_report(0)
    assert errors(ohif) == []
