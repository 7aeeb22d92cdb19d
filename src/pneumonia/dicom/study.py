"""Header and pixels of one radiograph: what the file says, and its values after the modality LUT.

A file is trusted for nothing: sizes are checked against each other before anything of that size is made, and whatever
is wrong ends in a `StudyError` with a reason. The parser stands in `pneumonia.dicom.parsing`, decoders in
`pneumonia.dicom.decoders`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pneumonia.dicom.decoders import TRANSFER_SYNTAXES, decode
from pneumonia.dicom.parsing import parse, value
from pneumonia.rejection import Reason, StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_PIXELS = 64_000_000  # the largest radiography detectors have about 20 million
MAX_SIDE = 16_384  # pixels, once they are square: an image is padded to a square of this side at most
ASPECTS = (0.25, 4.0)  # believable height / width of a detector's pixel
# Projection radiographs; CT for its scout view. A file that names no modality is given the benefit of the doubt.
MODALITIES = frozenset({"CR", "DX", "RG", "CT", ""})

_PIXEL_DATA_TAG = b"\xe0\x7f\x10\x00"  # (7FE0,0010) in little-endian
_AGE = re.compile(r"(\d{1,4}(?:\.\d+)?)([DWMY]?)")
_AGE_UNITS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0, "": 1.0}  # in a year


@dataclass(frozen=True)
class StudyHeader:
    """What is known of a study before its pixels. Unknown text is empty, an unknown number NaN."""

    study: str
    view: str  # AP, PA or empty
    sex: str  # F, M or empty
    age: float  # years, as the file says, however unlikely
    rows: int
    columns: int
    spacing: float  # mm between rows
    aspect: float  # height / width of a pixel; 1.0 where unknown or not within `ASPECTS`
    photometric: str
    modality: str
    sop_class: str
    transfer_syntax: str
    bits_stored: int
    signed: bool
    rescale_type: str
    windows: tuple[tuple[float, float], ...]  # (centre, width), in values after the modality LUT
    window_function: str  # LINEAR, LINEAR_EXACT or SIGMOID

    @property
    def in_hounsfield(self) -> bool:
        """Whether values after the modality LUT are in HU: the file says so, or it is a CT that says nothing else."""
        return self.rescale_type == "HU" or (self.modality == "CT" and not self.rescale_type)


@dataclass(frozen=True)
class Lut:
    """A DICOM lookup table (PS3.3, C.11.1.1): `first + i` becomes `table[i]`; values outside take the nearest end."""

    first: int
    table: np.ndarray  # uint16 [entries]
    bits: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """float32 array of the shape of `values`."""
        table = self.table.astype(np.float32)
        index = np.rint(values).astype(np.int64)
        index -= self.first
        return table[np.clip(index, 0, len(table) - 1, out=index)]


@dataclass(frozen=True)
class Pixels:
    """The image of a study.

    values: `[rows, columns]`, the stored integers where the file has no modality LUT, else float32 after it.
    padding: bool of the same shape, True where the file says "no image here", or None.
    low, high: the range the file could represent, after the modality LUT.
    decoder: which decoder was used.
    """

    values: np.ndarray
    padding: np.ndarray | None
    low: float
    high: float
    voi_luts: tuple[Lut, ...]
    decoder: str


def read_header(data: bytes, study: str = "") -> StudyHeader:
    """The header of a DICOM file. Raises StudyError (unreadable) where it cannot be parsed."""
    return _header(parse(data, pixels=False), study)


def read_study(data: bytes, study: str = "") -> tuple[StudyHeader, Pixels]:
    """Header and pixels of a DICOM file: one greyscale frame of an accepted modality.

    Raises StudyError: unreadable, wrong_modality, no_pixels, colour, multiframe or constant_pixels.
    """
    dataset = parse(data, pixels=True)
    header = _header(dataset, study)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _check(dataset, header, data)
            return header, _pixels(dataset, header)
        except StudyError:
            raise
        except Exception as error:  # any damage may surface anywhere in the parser
            message = " ".join(str(error).split())[:200]
            raise StudyError(Reason.UNREADABLE, f"pixels: {type(error).__name__}: {message}") from error


def read_pixels(data: bytes) -> Pixels:
    """The pixels of a DICOM file; see `read_study`."""
    return read_study(data)[1]


def parse_age(text: str) -> float:
    """Age in years of "057Y", "006M", "010W", "030D" (PS3.5, 6.2) or, as the challenge has it, "57"; else NaN."""
    match = _AGE.fullmatch(text.strip().upper())
    return float(match[1]) / _AGE_UNITS[match[2]] if match else math.nan


def _header(dataset: Dataset, study: str) -> StudyHeader:
    import pydicom

    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        spacing = _numbers(dataset, "PixelSpacing") or _numbers(dataset, "ImagerPixelSpacing")
        aspect = spacing if len(spacing) == 2 and min(spacing) > 0 else _numbers(dataset, "PixelAspectRatio")
        centers, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
        view, sex = _text(dataset, "ViewPosition").upper(), _text(dataset, "PatientSex").upper()
        return StudyHeader(
            study=study,
            view=view if view in ("AP", "PA") else "",
            sex=sex if sex in ("F", "M") else "",
            age=parse_age(_text(dataset, "PatientAge")),
            rows=_integer(dataset, "Rows"),
            columns=_integer(dataset, "Columns"),
            spacing=spacing[0] if spacing and spacing[0] > 0 else math.nan,
            aspect=_aspect(aspect),
            photometric=_text(dataset, "PhotometricInterpretation").upper(),
            modality=_text(dataset, "Modality").upper(),
            sop_class=_text(dataset, "SOPClassUID"),
            transfer_syntax=_text(dataset.file_meta, "TransferSyntaxUID"),
            bits_stored=_integer(dataset, "BitsStored"),
            signed=_integer(dataset, "PixelRepresentation") == 1,
            rescale_type=_text(dataset, "RescaleType").upper(),
            windows=tuple(zip(centers, widths, strict=False)),
            window_function=_text(dataset, "VOILUTFunction").upper() or "LINEAR",
        )


def _check(dataset: Dataset, header: StudyHeader, data: bytes) -> None:
    """Raise StudyError unless the file holds one greyscale frame of a sane size."""
    if header.modality not in MODALITIES:
        wanted = ", ".join(sorted(MODALITIES - {""}))
        raise StudyError(Reason.WRONG_MODALITY, f"modality {_word(header.modality)}; wanted one of {wanted}")
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise StudyError(Reason.NO_PIXELS, "floating-point pixel data; wanted integers")
        if _PIXEL_DATA_TAG in data:  # the parser drops an element whose end is missing
            raise StudyError(Reason.UNREADABLE, f"truncated: {len(data):,} bytes, and the pixel data does not end")
        raise StudyError(Reason.NO_PIXELS, "no pixel data element")
    if not dataset.PixelData:
        raise StudyError(Reason.NO_PIXELS, "the pixel data element is empty")
    samples, frames = _integer(dataset, "SamplesPerPixel", 1), _integer(dataset, "NumberOfFrames", 1)
    if samples != 1 or header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise StudyError(
            Reason.COLOUR, f"{samples} samples a pixel, photometric interpretation {_word(header.photometric)}"
        )
    if frames > 1:
        raise StudyError(Reason.MULTIFRAME, f"{frames} frames; wanted one")
    if min(header.rows, header.columns) < 1 or header.rows * header.columns > MAX_PIXELS:
        wanted = f"at least 1x1 and at most {MAX_PIXELS:,} pixels"
        raise StudyError(Reason.UNREADABLE, f"{header.rows} rows x {header.columns} columns; wanted {wanted}")
    side = max(header.columns, round(header.rows * header.aspect))
    if side > MAX_SIDE:
        raise StudyError(Reason.UNREADABLE, f"a side of {side:,} pixels; wanted at most {MAX_SIDE:,}")
    allocated = _integer(dataset, "BitsAllocated")
    if allocated not in (8, 16, 32) or not 0 < header.bits_stored <= allocated:
        raise StudyError(
            Reason.UNREADABLE, f"{header.bits_stored} bits stored of {allocated} allocated; wanted 1 to 8, 16 or 32"
        )
    if header.transfer_syntax not in TRANSFER_SYNTAXES:
        raise StudyError(
            Reason.UNREADABLE, f"no decoder for transfer syntax {_word(header.transfer_syntax)}; convert the file"
        )


def _pixels(dataset: Dataset, header: StudyHeader) -> Pixels:
    stored, decoder = decode(dataset, header.transfer_syntax)
    low, high = (0, 2**header.bits_stored - 1)
    if header.signed:
        low, high = -(2 ** (header.bits_stored - 1)), 2 ** (header.bits_stored - 1) - 1
    padding = _padding(dataset, stored)
    seen = stored if padding is None else stored[~padding]
    if seen.size == 0 or seen.min() == seen.max():
        raise StudyError(
            Reason.CONSTANT_PIXELS, f"every pixel is {stored.flat[0]}" if seen.size else "every pixel is padding"
        )

    modality_luts = _luts(dataset, "ModalityLUTSequence", header.signed)
    slope, intercept = _number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)
    transform: Callable[[np.ndarray], np.ndarray] | None = None
    if modality_luts:
        transform, low, high = modality_luts[0], 0, 2 ** modality_luts[0].bits - 1
    elif (slope, intercept) != (1.0, 0.0):
        first, last = low * slope + intercept, high * slope + intercept
        if slope == 0 or max(abs(first), abs(last)) > np.finfo(np.float32).max:
            raise StudyError(
                Reason.UNREADABLE,
                f"rescale slope {slope}, intercept {intercept}; wanted a slope other than 0, and 32-bit floats",
            )
        low, high = sorted((first, last))

        def transform(part: np.ndarray) -> np.ndarray:
            return part.astype(np.float64) * slope + intercept

    values = stored
    if transform is not None:
        values = np.empty(stored.shape, np.float32)
        for rows in blocks(stored.shape):
            values[rows] = transform(stored[rows])
    # A VOI LUT is indexed by values after the modality LUT; they are signed where that can go below zero (C.11.2.1.1).
    voi_luts = _luts(dataset, "VOILUTSequence", low < 0)
    return Pixels(values, padding, float(low), float(high), voi_luts, decoder)


def blocks(shape: Sequence[int]) -> Iterator[slice]:
    """Slices of rows of about a million pixels: arithmetic in them needs no temporary array of the image's size."""
    step = max(1, 2**20 // shape[1])
    return (slice(start, start + step) for start in range(0, shape[0], step))


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray | None:
    """Where the stored values are padding: one value, or a range up to the range limit (PS3.3, C.7.5.1.1.2)."""
    padding = value(dataset, "PixelPaddingValue")
    if padding is None or padding == "":
        return None
    limit = value(dataset, "PixelPaddingRangeLimit")
    first, last = sorted((int(padding), int(padding if limit in (None, "") else limit)))
    mask = (stored >= first) & (stored <= last)
    return mask if mask.any() else None


def _luts(dataset: Dataset, name: str, signed: bool) -> tuple[Lut, ...]:
    """The tables of a LUT sequence."""
    return tuple(_lut(item, name, signed) for item in value(dataset, name) or ())


def _lut(item: Dataset, name: str, signed: bool) -> Lut:
    """The table of an item of a LUT sequence (PS3.3, C.11.1.1)."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 2**16
    if signed and first >= 2**15:  # read as unsigned; the standard gives it the sign of the values it is applied to
        first -= 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        packed = len(data) < 2 * entries  # 8-bit entries, two in each word
        table = np.frombuffer(data, "<u1" if packed else "<u2").astype(np.uint16)
    else:
        table = np.atleast_1d(np.asarray(data, dtype=np.int64)).astype(np.uint16)
    if not 0 < bits <= 16 or len(table) < entries:
        raise StudyError(
            Reason.UNREADABLE, f"{name}: {len(table)} entries of {bits} bits; wanted {entries} of 8 to 16 bits"
        )
    return Lut(first, table[:entries], bits)


def _word(text: str) -> str:
    """`text` for a message, where it is a code; in a damaged file it may be anything, even a name."""
    return text if re.fullmatch(r"[A-Z0-9_.]{1,64}", text) else "(none)" if not text else "(no valid code)"


def _text(dataset: Dataset, name: str) -> str:
    try:
        found = value(dataset, name)
    except Exception:  # an element nobody can read says nothing
        return ""
    return "" if found is None else str(found).strip().strip("\x00")


def _numbers(dataset: Dataset, name: str) -> list[float]:
    """The finite numbers of an element, or an empty list where it is absent or damaged."""
    try:
        found = value(dataset, name)
        if found is None or found == "":
            return []
        numbers = (
            [float(item) for item in found]
            if hasattr(found, "__iter__") and not isinstance(found, str)
            else [float(found)]
        )
    except Exception:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _aspect(sides: list[float]) -> float:
    """Height / width of a pixel; 1.0 where it is not known, or not to be believed."""
    if len(sides) != 2 or min(sides) <= 0:
        return 1.0
    aspect = sides[0] / sides[1]
    return aspect if ASPECTS[0] <= aspect <= ASPECTS[1] else 1.0


def _number(dataset: Dataset, name: str, default: float) -> float:
    numbers = _numbers(dataset, name)
    return numbers[0] if numbers else default


def _integer(dataset: Dataset, name: str, default: int = 0) -> int:
    return int(_number(dataset, name, default))
