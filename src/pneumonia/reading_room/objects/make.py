"""The objects of one image, ready to be stored: what `pneumonia predict --dicom` writes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.files import write_atomic
from pneumonia.reading_room.objects.findings import Algorithm, Findings, sealed
from pneumonia.reading_room.objects.grey import pipeline
from pneumonia.reading_room.objects.source import IDENTITY, date, read_with_notes
from pneumonia.rejection import Reason, StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

    from pneumonia.dicom.windowing import Rendering

AS_THE_FILE_SAYS: dict[str, Any] = {"mode": "dicom", "center": -600.0, "width": 1500.0, "percentiles": (0.5, 99.5)}


def make(
    data: bytes,
    image: NDArray[np.uint8],
    findings: Findings,
    algorithm: Algorithm,
    *,
    capture: bool = False,
    rendering: Rendering | None = None,
    choice: int = 1,
) -> dict[str, Dataset]:
    """`sr` (Comprehensive SR), `pr` (presentation state) and, with `capture`, `sc` (secondary capture) of one image.

    The same file, models and settings give the same objects, UIDs included; whatever an object says differently gives it
    another UID. Each has a series of its own in the image's study.

    Arguments:
        data: the DICOM file, which `pneumonia.dicom.study.read_study` has read.
        image: its pixels, uint8 `[rows, columns]`.
        findings: of the image, boxes in its pixels.
        algorithm: that found them.
        capture: whether a secondary capture is wanted.
        rendering: how `image` was made of the file, which the presentation state repeats; None: as the file says.
        choice: which of the file's VOI LUTs or windows was wanted for it, 1 the first.

    Raises:
        StudyError: the file names no study or image, or not legally.
    """
    from pneumonia.reading_room.objects.capture import secondary_capture
    from pneumonia.reading_room.objects.presentation import presentation_state
    from pneumonia.reading_room.objects.structured_report import structured_report

    source, notes = read_with_notes(data)
    source.Rows, source.Columns = image.shape
    source.SamplesPerPixel = 1
    findings = replace(findings, notes=(*findings.notes, *notes))

    with _made_of(source):
        seen = rendering or study_to_uint8(data, **AS_THE_FILE_SAYS)
        result: dict[str, Dataset] = {
            "sr": structured_report(source, findings, algorithm),
            "pr": presentation_state(source, pipeline(data, seen, choice), seen, findings, algorithm),
        }
        if capture:
            result["sc"] = secondary_capture(source, image, findings, algorithm)
        return _finished(result, source)


def not_analysed(data: bytes, reason: str, algorithm: Algorithm, *, capture: bool = False) -> dict[str, Dataset]:
    """`sr` (Comprehensive SR) and, with `capture`, `sc` (secondary capture) that say that an image was not analysed, and why.

    They state no finding, present or absent, and nothing of what the image shows. UIDs are as those of `make`.

    Arguments:
        data: the DICOM file.
        reason: in words that name nobody; the objects repeat them.
        algorithm: that did not analyse it.
        capture: whether a secondary capture is wanted: the words alone.

    Raises:
        StudyError: the header cannot be read, or names no study or image, or not legally.
    """
    from pneumonia.reading_room.objects import not_analysed
    from pneumonia.reading_room.objects.capture import captured

    source, _ = read_with_notes(data)
    with _made_of(source):
        result: dict[str, Dataset] = {"sr": not_analysed.report(source, reason, algorithm)}
        if capture:
            result["sc"] = captured(source, not_analysed.picture(reason), None, algorithm)
        return _finished(result, source)


@contextmanager
def _made_of(source: Dataset) -> Iterator[None]:
    """No warnings; and what an object cannot be made of is the fault of the image, whose text no error may repeat."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (StudyError, MemoryError, ImportError):
        raise
    except Exception as error:
        detail = f"no DICOM object can be made of its header ({type(error).__name__})"
        raise StudyError(Reason.UNREADABLE, detail, discreet=f"{Reason.UNREADABLE}: {detail}") from error


def _finished(objects: dict[str, Dataset], source: Dataset) -> dict[str, Dataset]:
    for kind, each in objects.items():
        date(each, source)
        for name in IDENTITY:
            if name in source:
                each[name] = source[name]
        if kind != "sr" and "Laterality" not in each:
            each.Laterality = ""  # type 2C: may be empty; of which lung it is, the boxes say
        sealed(each)
    return objects


def write(folder: Path, study: str, objects: dict[str, Dataset]) -> list[Path]:
    """Write each as `<study>.<kind>.dcm`.

    Returns:
        The paths.
    """
    paths = []
    for kind, dataset in objects.items():
        path = folder / f"{study}.{kind}.dcm"
        with write_atomic(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(temporary)
        paths.append(path)
    return paths
