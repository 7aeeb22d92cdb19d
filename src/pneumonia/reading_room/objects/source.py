"""The image that a result refers to: identity of patient, study and image, copied and never guessed."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

from pneumonia.rejection import Reason, StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

WANTED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Type 2 in patient, study and series: present in a result, empty where the image does not say.
COPIED = (
    "AccessionNumber", "PatientBirthDate", "PatientID", "PatientName", "PatientSex", "ReferringPhysicianName", "StudyDate",
    "StudyID", "StudyTime",
)  # fmt: skip
# What says how and when the image was made and how it is shown.
OPTIONAL = (
    "AcquisitionDate", "AcquisitionTime", "BodyPartExamined", "Columns", "ContentDate", "ContentTime", "ImagerPixelSpacing",
    "Laterality", "Modality", "NumberOfFrames", "PatientOrientation", "PhotometricInterpretation", "PixelSpacing",
    "PresentationLUTShape", "Rows", "SamplesPerPixel", "SeriesDate", "SeriesTime", "SpecificCharacterSet",
    "ViewPosition", "WindowCenter", "WindowWidth",
)  # fmt: skip
# What a value must look like by its type (DA, TM, SH; PS3.5, 6.2). Pseudonymizers put other things there, which no object
# may repeat; the study is known by its UID all the same.
_ALLOWED = {
    "Date": re.compile(r"(\d{8})?"),
    "Time": re.compile(r"(\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?)?"),
    "AccessionNumber": re.compile(r".{0,16}"),
    "StudyID": re.compile(r".{0,16}"),
}
MAX_LENGTH = 1024  # bytes of an element; the longest text of these may have 64 characters a component


def read_source(data: bytes) -> Dataset:
    """The header of a DICOM file that `pneumonia.dicom.study.read_study` has read: only what results copy or refer to.

    Raises:
        StudyError: (unreadable) the file lacks a UID that a result must name, or an element is too long.
    """
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(
            io.BytesIO(data), stop_before_pixels=True, specific_tags=[*WANTED, *COPIED, *OPTIONAL], force=True
        )
        require_short(dataset, MAX_LENGTH)
        missing = [name for name in WANTED if not str(dataset.get(name, ""))]
        if missing:
            raise StudyError(Reason.UNREADABLE, f"has no {', '.join(missing)}, so no DICOM object can refer to it")
        for name in (*COPIED, *OPTIONAL):
            pattern = next((pattern for ending, pattern in _ALLOWED.items() if name.endswith(ending)), None)
            if pattern and name in dataset and not pattern.fullmatch(_text(dataset, name)):
                setattr(dataset, name, "")
        for name in COPIED:
            if name not in dataset:
                setattr(dataset, name, "")
    return dataset


def require_short(dataset: Dataset, limit: int) -> None:
    """Refuse a data set, of which no value was asked for yet, with an element that is too long.

    Arguments:
        limit: in bytes.

    Raises:
        StudyError: (unreadable) there is one.
    """
    for tag in dataset.keys():  # noqa: SIM118, iterating the data set itself decodes the values
        raw = dataset.get_item(tag).value
        if isinstance(raw, bytes) and len(raw) > limit:
            raise StudyError(Reason.UNREADABLE, f"element {tag} has {len(raw):,} bytes; wanted at most {limit:,}")


def _text(dataset: Dataset, name: str) -> str:
    raw = dataset.get_item(name).value
    return raw.decode("ascii", "replace").strip(" \0") if isinstance(raw, bytes) else str(raw)


def date(result: Dataset, source: Dataset) -> None:
    """Give what was made of an image the image's own date and time: a rerun must make the same object."""
    kinds = ("Content", "Acquisition", "Series", "Study")
    day, time = next(
        (
            (str(source.get(f"{kind}Date")), str(source.get(f"{kind}Time", "") or "000000"))
            for kind in kinds
            if source.get(f"{kind}Date")
        ),
        ("19000101", "000000"),
    )
    for name in ("InstanceCreation{}", "Content{}", "PresentationCreation{}", "Series{}", "{}OfSecondaryCapture"):
        for part, value in (("Date", day), ("Time", time)):
            if name.format(part) in result:
                setattr(result, name.format(part), value)
    for equipment in result.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime
