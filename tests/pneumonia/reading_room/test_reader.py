"""The one reader: why a study is refused and what a log may say of that, what counts of an answer, which objects come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.radiographs import IMAGE, chest, image

from pneumonia.reading_room import reader as module
from pneumonia.reading_room.ensemble import Study
from pneumonia.reading_room.objects.findings import Algorithm
from pneumonia.reading_room.reader import Reader
from pneumonia.rejection import StudyError

WINDOW = {"mode": "none", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1}
COLUMNS = ["study", "x", "y", "width", "height", "score"]


class Models:
    """Find in `a` four boxes and in each other study none; remember the sizes of batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, studies: Mapping[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
        self.batches.append(len(studies))
        rows = [["a", 10.0 * number, 2.0, 8.0, 4.0, score] for number, score in enumerate((0.9, 0.7, 0.5, 0.2))]
        scores = pd.Series({name: 0.75 if name == "a" else 0.125 for name in studies})
        return pd.DataFrame(rows if "a" in studies else [], columns=COLUMNS), scores


def reader(**options: Any) -> Reader:
    known = {"predict": Models(), "window": WINDOW, "threshold": 0.5, "max_boxes": 4}
    return Reader(**{**known, "algorithm": Algorithm("1.2.3", "ab" * 32, "gate"), **options})


def test_a_file_becomes_a_study():
    study = reader().read(image(PixelAspectRatio=[3, 2]), "a")
    assert study.image.dtype == np.uint8
    assert study.image.tolist() == IMAGE.tolist()
    assert study.aspect == 1.5


def test_what_a_log_says_of_a_refused_file_quotes_nothing_of_it():
    with pytest.raises(StudyError) as caught:
        reader().read(image(Modality="XX"), "a")
    assert (caught.value.reason, caught.value.discreet) == ("wrong_modality", "wrong_modality")
    assert "XX" in str(caught.value)  # a table may say it: it has the form of a code


def test_a_failure_that_nobody_foresaw_is_a_refusal_too(monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object, **options: object) -> None:
        raise KeyError("Doe^Jane")

    monkeypatch.setattr(module, "study_to_uint8", fail)
    with pytest.raises(StudyError) as caught:
        reader().read(image(), "a")
    assert (caught.value.reason, caught.value.discreet) == ("unreadable", "KeyError")
    assert str(caught.value) == "unreadable: an error that was not foreseen (KeyError)"


def test_a_file_that_is_not_admitted_is_not_decoded(monkeypatch: pytest.MonkeyPatch):
    def admit(data: bytes, name: str) -> None:
        raise StudyError("view", f"{name} is lateral", discreet="view: lateral")

    monkeypatch.setattr(module, "study_to_uint8", None)
    with pytest.raises(StudyError, match="view: a is lateral") as caught:
        reader(admit=admit).read(chest(), "a")
    assert caught.value.discreet == "view: lateral"


def test_what_was_mended_in_an_image_goes_with_its_findings():
    own = reader()
    study = own.read(chest(PixelSpacing=[0, 0]), "a")
    answer = own.answer({"a": study, "b": Study(IMAGE, 1.0)})
    assert answer.findings["a"].notes == ("PixelSpacing is not above 0 and not used.",)
    assert answer.findings["b"].notes == ()


def test_too_little_memory_is_no_fault_of_a_file(monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "study_to_uint8", fail)
    with pytest.raises(MemoryError):
        reader().read(image(), "a")


def test_findings_reach_the_operating_point_and_are_the_best_of_a_study():
    answer = reader(max_boxes=2).answer(dict.fromkeys("ab", Study(IMAGE, 1.0)))
    assert answer.detections["score"].tolist() == [0.9, 0.7, 0.5, 0.2]  # all that was seen
    assert answer.scores.tolist() == [0.75, 0.125]
    assert answer.findings["a"].boxes.tolist() == [[0.0, 2.0, 8.0, 4.0], [10.0, 2.0, 8.0, 4.0]]
    assert answer.findings["a"].scores.tolist() == [0.9, 0.7]
    assert (answer.findings["a"].study_score, answer.findings["a"].threshold) == (0.75, 0.5)
    assert answer.findings["b"].boxes.shape == (0, 4)
    assert answer.findings["b"].study_score == 0.125
    assert reader().answer({"a": Study(IMAGE, 1.0)}).findings["a"].scores.tolist() == [0.9, 0.7, 0.5]  # at 0.5: in


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1]), (4, [1, 2, 4]), (6, [1, 2, 4, 8])])
def test_models_are_warmed_up_with_every_size_of_a_batch(batch: int, sizes: list[int]):
    models = Models()
    reader(predict=models).warm_up(batch)
    assert models.batches == sizes


@pytest.mark.parametrize(("capture", "kinds"), [(False, ["pr", "sr"]), (True, ["pr", "sc", "sr"])])
def test_objects_of_a_study(capture: bool, kinds: list[str]):
    pytest.importorskip("highdicom")
    own, data = reader(capture=capture), image()
    study = own.read(data, "a")
    objects = own.objects(data, study, own.answer({"a": study}).findings["a"])
    assert sorted(objects) == kinds
    assert {made.PatientID for made in objects.values()} == {"P1"}
    assert len(objects["pr"].GraphicAnnotationSequence[0].GraphicObjectSequence) == 3  # of four boxes, at 0.5


def test_the_report_of_a_mended_file_says_so():
    pytest.importorskip("highdicom")
    own, data = reader(), image(PresentationLUTShape="INVERSE")
    study = own.read(data, "a")
    (note,) = study.rendering.notes
    assert "PresentationLUTShape" in note
    report = own.objects(data, study, own.answer({"a": study}).findings["a"])["sr"]
    assert f"Image: {note}" in report.to_json()


def test_a_study_that_no_object_can_refer_to():
    pytest.importorskip("highdicom")
    own, data = reader(), image(StudyInstanceUID=None)
    study = own.read(data, "a")
    with pytest.raises(StudyError, match="has no StudyInstanceUID") as caught:
        own.objects(data, study, own.answer({"a": study}).findings["a"])
    assert caught.value.discreet == str(caught.value)  # which repeats nothing of the file
