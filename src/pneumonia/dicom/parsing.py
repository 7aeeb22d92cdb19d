"""A DICOM data set from bytes that are trusted for nothing: only the elements that are used, within fixed bounds.

A file of a few megabytes can say more than fits into any memory: a sequence of a million empty items, a window of a
million values, a deflated stream of zeros. So what is read is counted: steps of the parser, bytes of an element, items
of a sequence, bytes of an inflated stream. A file beyond a bound is no radiograph.
"""

from __future__ import annotations

import io
import warnings
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pneumonia.rejection import Reason, StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_STEPS = 100_000  # reads of the parser; an element takes two or three, and headers have 50 to 1,000 elements
MAX_ELEMENT_BYTES = 2**16  # of what is used besides pixels and sequences; the longest are lists of windows
MAX_SEQUENCE_BYTES = 2**20  # a lookup table of 16 bits has 2^17
MAX_SEQUENCE_ITEMS = 1000
MAX_INFLATED_BYTES = 192 * 2**20  # of a deflated file, pixels included

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FUNCTIONAL_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_SEQUENCES = ("ModalityLUTSequence", "VOILUTSequence", *_FUNCTIONAL_GROUPS)
_USED = (
    *_PIXELS, *_SEQUENCES, "BitsAllocated", "BitsStored", "Columns", "HighBit", "ImagerPixelSpacing", "Modality", "NumberOfFrames",
    "PatientAge", "PatientSex", "PhotometricInterpretation", "PixelAspectRatio", "PixelPaddingRangeLimit", "PixelPaddingValue",
    "PixelRepresentation", "PixelSpacing", "PresentationLUTShape", "RescaleIntercept", "RescaleSlope", "RescaleType", "Rows",
    "SOPClassUID", "SamplesPerPixel", "VOILUTFunction", "ViewPosition", "WindowCenter", "WindowWidth",
)  # fmt: skip
_ITEM_TAG = b"\xfe\xff\x00\xe0"  # (FFFE,E000) in little-endian
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"  # (FFFE,E0DD)


class BoundedStream(io.BytesIO):
    """Bytes that can be read `MAX_STEPS` times."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MAX_STEPS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise StudyError(Reason.UNREADABLE, f"its header takes more than {MAX_STEPS:,} steps to read")
        return super().read(size)


def parse(data: bytes, *, pixels: bool) -> tuple[Dataset, list[str]]:
    """The data set of a DICOM file, with its `file_meta`, holding only elements that this package uses; what was mended for it.

    Arguments:
        data: of the file.
        pixels: with the pixel data; else reading stops before it.

    Raises:
        StudyError: (unreadable) it is no DICOM file, cannot be followed, or goes beyond a bound.
    """
    import pydicom

    if data[128:132] != b"DICM":
        raise StudyError(Reason.UNREADABLE, "not a DICOM file (no DICM marker)")
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            return _read_or_mend(data, pixels)
        except StudyError:
            raise
        except Exception as error:  # its text may quote the header, which may name a person: left out
            raise StudyError(Reason.UNREADABLE, f"header cannot be parsed ({type(error).__name__})") from error


def why_no_pixels(data: bytes) -> str:
    """Why a file that holds the tag of pixel data has no such element: it is cut short, or a header cannot be followed."""
    _, place = mend_representations(data)
    if place is None:
        return f"truncated: {len(data):,} bytes, and the pixel data does not end"
    return f"header cannot be followed: no element begins at byte {place:,}, before the pixel data"


def _read_or_mend(data: bytes, pixels: bool) -> tuple[Dataset, list[str]]:
    try:
        dataset = _read(data, pixels)
        if not pixels or "PixelData" in dataset:
            _check_sizes(dataset)
            return dataset, []
        failure = None
    except Exception as error:  # also beyond a bound, where a length is taken for another
        failure = error
    notes = []
    mended, _ = mend_representations(data)
    if mended is not None:
        dataset = _read(mended, pixels)
        notes = ["An element has no value representation of the standard, and was followed all the same."]
    elif failure is not None:
        raise failure
    _check_sizes(dataset)
    return dataset, notes


def mend_representations(data: bytes) -> tuple[bytes | None, int | None]:
    """The file with known value representations in place of private and blank ones, and where the header got lost.

    The first is None where there was none to mend, the second where every element was followed to the end of the file or
    beyond it. A value representation of other than two capitals (`??`, two blanks) has a length of 2 bytes, as dcmtk
    reads it; one of capitals that is not in the standard one of 4 bytes (PS3.5, 7.1.2) or of 2, whichever leads to the
    next element. Only for files that cannot be read as they are, in explicit value representation.
    """
    from pydicom.datadict import dictionary_VR
    from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

    known = {str(vr).encode(): str(vr) for vr in VR if len(str(vr)) == 2}
    long = {str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32}
    start, syntax = end_of_meta(data)
    if syntax in (IMPLICIT, DEFLATED):
        return None, None
    order: Literal["big", "little"] = "big" if syntax == BIG_ENDIAN else "little"

    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], order)

    def begins(place: int, after: tuple[int, int]) -> bool:
        tag = (number(place, 2), number(place + 2, 2))
        follows = tag >= after or tag[0] == 0xFFFE or data[place + 4 : place + 6] in known
        return place == len(data) or (place + 8 <= len(data) and follows)

    changed = bytearray(data)
    place, steps = start, 0
    while place + 8 <= len(data):
        steps += 1
        if steps > MAX_STEPS:
            return None, place
        tag = (number(place, 2), number(place + 2, 2))
        if tag[0] == 0xFFFE:  # of an item only its header, so that what is in it is followed too
            place += 8
            continue
        vr = data[place + 4 : place + 6]
        if vr not in known:
            short, wide = place + 8 + number(place + 6, 2), place + 12 + number(place + 8, 4)
            capitals = vr.isalpha() and vr.isupper() and vr.isascii()
            if capitals and data[place + 6 : place + 8] == b"\0\0" and begins(wide, tag):
                changed[place + 4 : place + 6] = b"UN"
                place = wide
            elif begins(short, tag):
                try:
                    meant = dictionary_VR(tag)
                except KeyError:
                    meant = "LO"
                changed[place + 4 : place + 6] = (
                    meant.encode() if len(meant) == 2 and meant.encode() not in long else b"US"
                )
                place = short
            elif begins(place + 8 + number(place + 4, 4), tag):  # an element in implicit form, which the parser knows
                place += 8 + number(place + 4, 4)
            else:
                return None, place
            continue
        if vr not in long:
            place += 8 + number(place + 6, 2)
            continue
        length = number(place + 8, 4)
        place += 12
        if length == 0xFFFFFFFF:
            if vr == b"SQ":
                continue
            end = data.find(_SEQUENCE_END if order == "little" else b"\xff\xfe\xe0\xdd", place)
            if end < 0:
                return None, None
            place = end + 8
        elif vr != b"SQ":
            place += length
    return (bytes(changed) if changed != data else None), None


def end_of_meta(data: bytes) -> tuple[int, str]:
    """Where the data set begins after the file meta group, and its transfer syntax."""
    stream, meta = _meta(data)
    return stream.tell(), str(meta.get("TransferSyntaxUID", ""))


def _meta(data: bytes) -> tuple[BoundedStream, Dataset]:
    from pydicom.filereader import read_dataset

    stream = BoundedStream(data)
    stream.seek(132)
    # The file meta group is always explicit and little-endian (PS3.10, 7.1).
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    _check_sizes(meta)
    return stream, meta


def _read(data: bytes, pixels: bool) -> Dataset:
    from pydicom.datadict import keyword_for_tag
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset

    tags = _tags(_USED)
    stream, meta = _meta(data)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax == DEFLATED:
        stream = BoundedStream(_inflate(data[stream.tell() :]))
    seen: set[Any] = set()

    def stop(tag: Any, vr: str | None, length: int) -> bool:
        if tag in tags and tag in seen:  # readers differ in which one they take
            raise StudyError(Reason.UNREADABLE, f"{keyword_for_tag(tag)}: found twice; wanted once (PS3.5, 7.1)")
        seen.add(tag)
        return not pixels and tag in _tags(_PIXELS)

    dataset = read_dataset(stream, syntax == IMPLICIT, syntax != BIG_ENDIAN, stop_when=stop, specific_tags=list(tags))
    dataset.file_meta = FileMetaDataset(meta)
    return dataset


@cache
def _tags(keywords: tuple[str, ...]) -> frozenset[Any]:
    from pydicom.tag import Tag

    return frozenset(map(Tag, keywords))


def _check_sizes(dataset: Dataset) -> None:
    """Refuse elements that would explode once their values are made, which happens only when they are asked for."""
    for tag in dataset.keys() - _tags(_PIXELS):
        value = dataset.get_item(tag).value
        if not isinstance(value, bytes):  # a sequence without a length has been counted as it was read
            continue
        limit = MAX_SEQUENCE_BYTES if tag in _tags(_SEQUENCES) else MAX_ELEMENT_BYTES
        if len(value) > limit:
            raise StudyError(Reason.UNREADABLE, f"element {tag} has {len(value):,} bytes; wanted at most {limit:,}")
        items = max(value.count(_ITEM_TAG), value.count(_ITEM_TAG[1::-1] + _ITEM_TAG[:1:-1]))
        if items > MAX_SEQUENCE_ITEMS:
            raise StudyError(
                Reason.UNREADABLE, f"element {tag} has {items:,} items; wanted at most {MAX_SEQUENCE_ITEMS:,}"
            )


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise StudyError(Reason.UNREADABLE, f"deflated data set is damaged: {error}") from error
    if inflater.unconsumed_tail:
        raise StudyError(Reason.UNREADABLE, f"deflated data set inflates to more than {MAX_INFLATED_BYTES:,} bytes")
    return inflated
