"""The objects of one image, ready to be stored: what `pneumonia predict --dicom` writes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pneumonia.files import write_atomic
from pneumonia.reading_room.objects.findings import Algorithm, Findings
from pneumonia.reading_room.objects.source import date, read_source

if TYPE_CHECKING:
    from pydicom import Dataset


def make(
    data: bytes, image: NDArray[np.uint8], findings: Findings, algorithm: Algorithm, *, capture: bool = False
) -> dict[str, Dataset]:
    """`sr` (Comprehensive SR), `pr` (presentation state) and, with `capture`, `sc` (secondary capture) of one image.

    The same file, models and settings give the same objects, UIDs included; each kind has a series of its own in the
    image's study.

    Arguments:
        data: the DICOM file, which `pneumonia.dicom.study.read_study` has read.
        image: its pixels, uint8 `[rows, columns]`.
        findings: of the image, boxes in its pixels.
        algorithm: that found them.
        capture: whether a secondary capture is wanted.

    Raises:
        StudyError: the file names no study or image.
    """
    from pneumonia.reading_room.objects.capture import secondary_capture
    from pneumonia.reading_room.objects.presentation import presentation_state
    from pneumonia.reading_room.objects.structured_report import structured_report

    source = read_source(data)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that the image has and DICOM would not allow; they are copied
        result: dict[str, Dataset] = {
            "sr": structured_report(source, findings, algorithm),
            "pr": presentation_state(source, findings, algorithm),
        }
        if capture:
            result["sc"] = secondary_capture(source, image, findings, algorithm)
        for kind, each in result.items():
            date(each, source)
            if kind != "sr" and "Laterality" not in each:
                each.Laterality = ""  # type 2C: may be empty; of which lung it is, the boxes say
    return result


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
