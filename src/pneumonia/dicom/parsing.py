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
from typing import TYPE_CHECKING, Any

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
_SEQUENCES = ("ModalityLUTSequence", "VOILUTSequence")
_USED = (
    *_PIXELS, *_SEQUENCES, "BitsAllocated", "BitsStored", "Columns", "HighBit", "ImagerPixelSpacing", "Modality", "NumberOfFrames",
    "PatientAge", "PatientSex", "PhotometricInterpretation", "PixelAspectRatio", "PixelPaddingRangeLimit", "PixelPaddingValue",
    "PixelRepresentation", "PixelSpacing", "RescaleIntercept", "RescaleSlope", "RescaleType", "Rows", "SOPClassUID",
    "SamplesPerPixel", "VOILUTFunction", "ViewPosition", "WindowCenter", "WindowWidth",
)  # fmt: skip
_ITEM_TAG = b"\xfe\xff\x00\xe0"  # (FFFE,E000) in little-endian


class _Stream(io.BytesIO):
    """Bytes that can be read `MAX_STEPS` times."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MAX_STEPS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise StudyError(Reason.UNREADABLE, f"its header takes more than {MAX_STEPS:,} steps to read")
        return super().read(size)


def parse(data: bytes, *, pixels: bool) -> Dataset:
    """The data set of a DICOM file, with its `file_meta`, holding only elements that this package uses.

    pixels: with the pixel data; else reading stops before it. Raises StudyError (unreadable).
    """
    import pydicom

    if data[128:132] != b"DICM":
        raise StudyError(Reason.UNREADABLE, "not a DICOM file (no DICM marker)")
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            dataset = _read(data, pixels)
            _check_sizes(dataset)
            return dataset
        except StudyError:
            raise
        except Exception as error:  # its text may quote the header, which may name a person: left out
            raise StudyError(Reason.UNREADABLE, f"header cannot be parsed ({type(error).__name__})") from error


def value(dataset: Dataset, keyword: str) -> Any:
    """The value of an element, None where it is absent; several times as fast as `dataset.get(keyword)`."""
    (tag,) = _tags((keyword,))
    return dataset[tag].value if tag in dataset else None


def _read(data: bytes, pixels: bool) -> Dataset:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset

    tags = _tags(_USED)
    stream = _Stream(data)
    stream.seek(132)
    # The file meta group is always explicit and little-endian (PS3.10, 7.1).
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    _check_sizes(meta)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax == DEFLATED:
        stream = _Stream(_inflate(data[stream.tell() :]))
    dataset = read_dataset(
        stream,
        syntax == IMPLICIT,
        syntax != BIG_ENDIAN,
        stop_when=None if pixels else lambda tag, vr, length: tag in _tags(_PIXELS),
        specific_tags=list(tags),
    )
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
