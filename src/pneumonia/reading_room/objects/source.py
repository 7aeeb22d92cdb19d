"""The image that a result refers to: identity of patient, study and image, copied and never guessed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pneumonia.dicom import parsing
from pneumonia.reading_room.objects.headers import UTF8, Header
from pneumonia.rejection import Reason, StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

WANTED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Type 2 in patient, study and series: present in a result, empty where the image does not say.
COPIED = {
    "AccessionNumber": "SH", "PatientBirthDate": "DA", "PatientID": "LO", "PatientName": "PN", "PatientSex": "CS",
    "ReferringPhysicianName": "PN", "StudyDate": "DA", "StudyID": "SH", "StudyTime": "TM",
}  # fmt: skip
# What says whose id it is, and when and how the image was made: absent in a result where the image does not say.
OPTIONAL = {
    "AcquisitionDate": "DA", "AcquisitionTime": "TM", "BodyPartExamined": "CS", "ContentDate": "DA", "ContentTime": "TM",
    "IssuerOfPatientID": "LO", "Laterality": "CS", "LossyImageCompression": "CS", "Modality": "CS", "PatientOrientation": "CS",
    "PixelSpacingCalibrationDescription": "LO", "PixelSpacingCalibrationType": "CS", "SeriesDate": "DA", "SeriesTime": "TM",
    "ViewPosition": "CS",
}  # fmt: skip
SIDES = ("Rows", "Columns")
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing")
# Who gave out an id (PS3.3, 10.14 and C.7.1.1), with the values of an item.
ISSUERS = {
    "IssuerOfPatientIDQualifiersSequence": {
        "UniversalEntityID": "UT", "UniversalEntityIDType": "CS", "IdentifierTypeCode": "CS"
    },
    "IssuerOfAccessionNumberSequence": {
        "LocalNamespaceEntityID": "UT", "UniversalEntityID": "UT", "UniversalEntityIDType": "CS"
    },
}  # fmt: skip
IDENTITY = ("IssuerOfPatientID", *ISSUERS)  # what a result repeats besides `COPIED`
# Transfer syntaxes that always lose something, with the method (PS3.3, C.7.6.1.1.5); JPEG 2000 may or may not.
LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1", "1.2.840.10008.1.2.4.51": "ISO_10918_1", "1.2.840.10008.1.2.4.81": "ISO_14495_1"
}  # fmt: skip
MAX_LENGTH = 1024  # bytes of an element; the longest text of these may have 64 characters a component
_CALIBRATION = ("PixelSpacingCalibrationDescription", "PixelSpacingCalibrationType")
_PIXELS = 0x7FE0  # the group of pixel data
_LISTS = ("LossyImageCompressionMethod", "LossyImageCompressionRatio")


def read_source(data: bytes) -> Dataset:
    """As `read_with_notes`, without the notes."""
    return read_with_notes(data)[0]


def read_with_notes(data: bytes) -> tuple[Dataset, tuple[str, ...]]:
    """The header of a DICOM file: only what results copy or refer to, every value a legal one; and what was mended or left out.

    Raises:
        StudyError: (unreadable) the file lacks a UID that a result must name, or an element is too long.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            raw = _read(data)
            require_short(raw, MAX_LENGTH)
            header = Header(raw)
            syntax = str(raw.file_meta.get("TransferSyntaxUID", ""))
            return _source(header, syntax), tuple(header.notes)
        except StudyError:
            raise
        except Exception as error:  # any damage may surface anywhere; its text may quote the file: left out
            raise _refused(f"header cannot be read ({type(error).__name__})") from error


def _refused(detail: str) -> StudyError:
    """With a text that repeats nothing of the file, so that logs and answers can say all of it."""
    return StudyError(Reason.UNREADABLE, detail, discreet=f"{Reason.UNREADABLE}: {detail}")


def _read(data: bytes) -> Dataset:
    """The elements that are used, within the bounds of `parsing`, also of a file whose other elements it refuses."""
    if data[128:132] != b"DICM":
        raise _refused("not a DICOM file (no DICM marker)")
    if parsing.end_of_meta(data)[1] == parsing.DEFLATED:
        parsing.parse(data, pixels=False)  # inflates to a bounded size
    dataset = _elements(data)
    if "Rows" not in dataset:  # the header got lost in an element of no known value representation
        mended = parsing.mend_representations(data)[0]
        dataset = _elements(mended) if mended else dataset
    return dataset


def _elements(data: bytes) -> Dataset:
    from pydicom.datadict import keyword_for_tag
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    wanted = [
        *WANTED, *COPIED, *OPTIONAL, *SPACINGS, *_LISTS, *ISSUERS, "AnatomicalOrientationType", "PixelAspectRatio", *SIDES,
        "SpecificCharacterSet",
    ]  # fmt: skip
    tags: list[Any] = [Tag(name) for name in wanted]
    seen: set[Any] = set()

    def stop(tag: Any, vr: str | None, length: int) -> bool:
        if tag in tags and tag in seen:  # readers differ in which one they take
            raise _refused(f"{keyword_for_tag(tag)}: found twice; wanted once (PS3.5, 7.1)")
        seen.add(tag)
        return bool(tag >> 16 == _PIXELS)

    return read_partial(parsing.BoundedStream(data), stop_when=stop, force=True, specific_tags=tags)


def _source(header: Header, syntax: str) -> Dataset:
    from pydicom import Dataset

    source = Dataset()
    for name in WANTED:
        setattr(source, name, header.value(name, "UI"))
    missing = [name for name in WANTED if not source.get(name)]
    if missing:
        legal = "legal " if header.notes else ""
        raise _refused(f"has no {legal}{', '.join(missing)}, so no DICOM object can refer to it")
    for name, vr in COPIED.items():
        setattr(source, name, header.value(name, vr))
    for name, vr in OPTIONAL.items():
        _set(source, name, header.value(name, vr))
    for name in SPACINGS:
        _set(source, name, header.numbers(name, 2))
    for name in SIDES:
        _set(source, name, [int(float(side)) for side in header.numbers(name, 1)])
    height, width = map(float, header.numbers("PixelAspectRatio", 2) or "11")
    if height != width and not ("PixelSpacing" in source or "ImagerPixelSpacing" in source):
        source.PixelAspectRatio = whole(height / width)
    if not all(name in source for name in ("PixelSpacing", *_CALIBRATION)):
        for name in _CALIBRATION:
            source.pop(name, None)
    for name, vrs in ISSUERS.items():
        _set(source, name, [item for item in (_issuer(own, vrs) for own in header.items(name)) if len(item)])
    methods = header.codes("LossyImageCompressionMethod")
    ratios = header.numbers("LossyImageCompressionRatio", len(methods))
    if source.get("LossyImageCompression") == "01" and methods and ratios:
        source.LossyImageCompressionMethod, source.LossyImageCompressionRatio = methods, ratios
    elif syntax in LOSSY:  # whatever the header says
        source.LossyImageCompression, source.LossyImageCompressionMethod = "01", LOSSY[syntax]
    if not all(str(element.value).isascii() for element in source.iterall() if element.VR != "SQ"):
        source.SpecificCharacterSet = UTF8
    return source


def _set(source: Dataset, name: str, value: str | list[Any]) -> None:
    if value:
        setattr(source, name, value)


def _issuer(header: Header, vrs: Mapping[str, str]) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    for name, vr in vrs.items():
        _set(item, name, header.value(name, vr))
    if ("UniversalEntityID" in item) != ("UniversalEntityIDType" in item):  # each is required with the other
        for name in ("UniversalEntityID", "UniversalEntityIDType"):
            item.pop(name, None)
    return item


def whole(aspect: float) -> list[int]:
    """Height and width of a pixel as two whole numbers."""
    return list(Fraction(aspect).limit_denominator(1000).as_integer_ratio())


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
            raise _refused(f"element {tag} has {len(raw):,} bytes; wanted at most {limit:,}")


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
