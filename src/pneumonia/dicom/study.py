"""Header and pixels of one radiograph: what the file says, and its values after the modality LUT.

A file is trusted for nothing: sizes are checked against each other before anything of that size is made, and whatever
is wrong ends in a `StudyError` with a reason. The parser stands in `pneumonia.dicom.parsing`, what is read of an element
in `pneumonia.dicom.elements`, lookup tables in `pneumonia.dicom.tables`, decoders in `pneumonia.dicom.decoders`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pneumonia.dicom.decoders import NATIVE, TRANSFER_SYNTAXES, Layout, decode
from pneumonia.dicom.elements import Elements
from pneumonia.dicom.parsing import parse, why_no_pixels
from pneumonia.dicom.tables import Lut, modality_lut, voi_luts
from pneumonia.rejection import Reason, StudyError

MAX_PIXELS = 64_000_000  # the largest radiography detectors have about 20 million
MAX_SIDE = 16_384  # pixels, once they are square: an image is padded to a square of this side at most
ASPECTS = (0.25, 4.0)  # believable height / width of a detector's pixel
# Projection radiographs; CT for its scout view. A file that names no modality is given the benefit of the doubt.
MODALITIES = frozenset({"CR", "DX", "RG", "CT", ""})

UNDEFINED = 0xFFFFFFFF  # the length of an element that ends with a delimiter
_PIXEL_DATA_TAG = b"\xe0\x7f\x10\x00"  # (7FE0,0010) in little-endian
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")  # PS3.3, C.11.2.1.2 and C.11.2.1.3
_AGE = re.compile(r"(\d{1,4}(?:\.\d+)?)([DWMY]?)")
_AGE_UNITS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0, "": 1.0}  # in a year
# A modality (PS3.3, C.7.3.1.1.1), a photometric interpretation (C.7.6.3.1.2) or a UID.
_CODE = re.compile(
    r"[A-Z]{2}|SEG|REG|DOC|BMD|OPT|FID|RTDOSE|RTIMAGE|RTPLAN|RTRECORD|RTSTRUCT"
    r"|ARGB|CMYK|HSV|RGB|XYB|PALETTE COLOR|YBR_[A-Z0-9_]{3,16}|MONOCHROME[12]|[012](\.\d+){3,}"
)


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
    rescaled: bool  # whether the file has a rescale slope and intercept
    windows: tuple[tuple[float, float], ...]  # (centre, width), in values after the modality LUT
    window_function: str  # LINEAR, LINEAR_EXACT or SIGMOID
    window_fault: str = ""  # why the file's windows cannot be used, naming the element, where it has some
    notes: tuple[str, ...] = ()  # what was mended in the header, in fixed sentences

    @property
    def in_hounsfield(self) -> bool:
        """Whether the file says that values after the modality LUT are in HU: by its type, or as a CT with a rescale.

        They can be only where one below 0 is possible: air has -1,000 HU. See `Pixels.low`.
        """
        return self.rescale_type == "HU" or (self.modality == "CT" and not self.rescale_type and self.rescaled)


@dataclass(frozen=True)
class Pixels:
    """The image of a study.

    Attributes:
        values: `[rows, columns]`, the stored integers where the file has no modality LUT, else float32 after it.
        padding: bool of the same shape, True where the file says "no image here", or None.
        low, high: the range the file could represent, after the modality LUT.
        voi_luts: the file's own, of values after the modality LUT.
        decoder: which decoder was used.
        notes: what was mended in the header, the pixels and the tables, in fixed sentences.
    """

    values: np.ndarray
    padding: np.ndarray | None
    low: float
    high: float
    voi_luts: tuple[Lut, ...]
    decoder: str
    notes: tuple[str, ...] = ()


def read_study(data: bytes, study: str = "") -> tuple[StudyHeader, Pixels]:
    """Header and pixels of a DICOM file: one greyscale frame of an accepted modality.

    Arguments:
        data: of the file.
        study: its id.

    Raises:
        StudyError: unreadable, wrong_modality, no_pixels, colour, multiframe or constant_pixels.
    """
    elements = Elements(*parse(data, pixels=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _check_kind(elements, data)
            header = _header(elements, study)
            return header, _pixels(elements, header, _layout(elements, header))
        except StudyError:
            raise
        except Exception as error:  # any damage may surface anywhere; its text may quote the file: left out
            raise StudyError(Reason.UNREADABLE, f"pixels cannot be decoded ({type(error).__name__})") from error


def parse_age(text: str) -> float:
    """Age in years of "057Y", "006M", "010W", "030D" (PS3.5, 6.2) or, as the challenge has it, "57"; else NaN."""
    match = _AGE.fullmatch(text.strip().upper())
    return float(match[1]) / _AGE_UNITS[match[2]] if match else math.nan


def _header(elements: Elements, study: str) -> StudyHeader:
    spacing, aspect = _geometry(elements)
    function = _window_function(elements)
    windows, fault = _windows(elements, function)
    view, sex = elements.code("ViewPosition"), elements.code("PatientSex")
    photometric = _photometric(elements)
    _compare_shape(elements, photometric)
    return StudyHeader(
        study=study,
        view=view if view in ("AP", "PA") else "",
        sex=sex if sex in ("F", "M") else "",
        age=parse_age(elements.code("PatientAge")),
        rows=elements.integer("Rows") or 0,
        columns=elements.integer("Columns") or 0,
        spacing=spacing,
        aspect=aspect,
        photometric=photometric,
        modality=elements.code("Modality"),
        sop_class=elements.code("SOPClassUID"),
        transfer_syntax=_transfer_syntax(elements),
        bits_stored=elements.integer("BitsStored") or 0,
        signed=elements.integer("PixelRepresentation") == 1,
        rescale_type=_rescale_type(elements),
        rescaled=bool(elements.numbers("RescaleSlope") and elements.numbers("RescaleIntercept")),
        windows=windows,
        window_function=function if function in FUNCTIONS else "LINEAR",
        window_fault=fault,
        notes=tuple(elements.notes),
    )


def _transfer_syntax(elements: Elements) -> str:
    return str(elements.dataset.file_meta.get("TransferSyntaxUID", "") or "").strip().strip("\0")


def _geometry(elements: Elements) -> tuple[float, float]:
    """The spacing of rows in mm, NaN where unknown, and height / width of a pixel, 1.0 where unknown or unbelievable."""
    fault: tuple[str, str] | None = None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        sides = elements.numbers(keyword) or []
        wrong = next((side for side in sides if isinstance(side, str)), None)
        numbers = [side for side in sides if isinstance(side, float)]
        if wrong or len(sides) > 2:
            fault = fault or (keyword, wrong or f"{len(sides)} values")
        elif sides and min(numbers) <= 0:
            elements.note(f"{keyword} is not above 0 and not used.")
        elif sides:
            if fault:
                elements.note(f"{fault[0]} is not readable: {keyword} is used.")
            if len(sides) == 1:
                elements.note(f"{keyword} has one value, which is taken for both sides of a pixel.")
            aspect = numbers[0] / numbers[-1]
            if not ASPECTS[0] <= aspect <= ASPECTS[1]:
                elements.note(f"{keyword} gives pixels of an unbelievable shape: they are taken for square.")
                aspect = 1.0
            return (math.nan if keyword == "PixelAspectRatio" else numbers[0]), aspect
    if fault:
        elements.refuse(*fault, "two numbers above 0")
    return math.nan, 1.0


def _window_function(elements: Elements) -> str:
    """VOI LUT Function as the standard writes it; anything else as it stands."""
    found = elements.code("VOILUTFunction")
    wanted = re.sub("[ -]+", "_", found)
    if wanted != found and wanted in FUNCTIONS:
        elements.note("VOILUTFunction is written otherwise than in the standard, and understood.")
        return wanted
    return found or "LINEAR"


def _windows(elements: Elements, function: str) -> tuple[tuple[tuple[float, float], ...], str]:
    """The file's usable windows (centre, width); where it has some but none is usable, also why, naming the element."""
    centers, widths = elements.numbers("WindowCenter"), elements.numbers("WindowWidth")
    if not centers and not widths:
        if centers is not None or widths is not None:
            elements.note("WindowCenter and WindowWidth have no value and count as absent.")
        return (), ""
    if not centers or not widths:
        missing, other = ("WindowWidth", "WindowCenter") if centers else ("WindowCenter", "WindowWidth")
        return (), f"{missing}: found no value; wanted one, as {other} has one"
    if function not in FUNCTIONS:
        return (), f"VOILUTFunction: found no known function; wanted {', '.join(FUNCTIONS)}"
    if len(centers) != len(widths):
        elements.note("WindowCenter and WindowWidth have different numbers of values: only whole pairs are used.")
    pairs = list(zip(centers, widths, strict=False))
    if pairs == [(0.0, 0.0)]:
        elements.note("WindowCenter and WindowWidth are 0, which is no window: they count as absent.")
        return (), ""
    least = 1 if function == "LINEAR" else 0
    good: list[tuple[float, float]] = []
    faults: list[str] = []
    for center, width in pairs:
        if isinstance(center, str):
            faults.append(f"WindowCenter: found {center}; wanted a number")
        elif isinstance(width, str):
            faults.append(f"WindowWidth: found {width}; wanted a number")
        elif not is_window(width, function):
            wanted = f"at least {least}" if least else "more than 0"
            faults.append(f"WindowWidth: found {width:g}; wanted {wanted} for {function}")
        else:
            good.append((center, width))
    if good and faults:
        elements.note("WindowCenter or WindowWidth has a value that is no window: the others are used.")
    return tuple(good), "" if good else faults[0]


def is_window(width: float, function: str) -> bool:
    """Whether a window of this width exists (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    return width >= 1 if function == "LINEAR" else width > 0


def _photometric(elements: Elements) -> str:
    found = elements.code("PhotometricInterpretation")
    plain = re.sub(r"[\s_]", "", found)
    if plain != found and plain in ("MONOCHROME1", "MONOCHROME2"):
        elements.note("PhotometricInterpretation is written otherwise than in the standard, and understood.")
        return plain
    return found


def _compare_shape(elements: Elements, photometric: str) -> None:
    """Note where Presentation LUT Shape says the opposite (PS3.3, C.8.11.3): the photometric interpretation is followed."""
    shape = elements.code("PresentationLUTShape")
    if not shape or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return
    wanted = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    if shape not in ("IDENTITY", "INVERSE"):
        elements.note("PresentationLUTShape is neither IDENTITY nor INVERSE and not used.")
    elif shape != wanted:
        elements.note(
            f"PresentationLUTShape {shape} contradicts PhotometricInterpretation {photometric}, which is followed."
        )


def _rescale_type(elements: Elements) -> str:
    found = elements.code("RescaleType")
    if not re.fullmatch(r"[ -~]*", found):
        elements.refuse("RescaleType", "text that is no code", "a unit such as HU")
    return "HU" if set(found.split("\\")) == {"HU"} else found


def _check_kind(elements: Elements, data: bytes) -> None:
    """Refuse a file of another modality, or without pixels.

    Raises:
        StudyError: wrong_modality, no_pixels or unreadable.
    """
    modality = elements.code("Modality")
    if modality not in MODALITIES:
        wanted = ", ".join(sorted(MODALITIES - {""}))
        raise StudyError(Reason.WRONG_MODALITY, f"modality {_word(modality)}; wanted one of {wanted}")
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if keyword in elements:  # rescale, window and spacing stand in them
            elements.refuse(keyword, "an enhanced image", "one frame of a plain image object; convert the file")
    if "PixelData" not in elements:
        if "FloatPixelData" in elements or "DoubleFloatPixelData" in elements:
            raise StudyError(Reason.NO_PIXELS, "floating-point pixel data; wanted integers")
        if _PIXEL_DATA_TAG in data:  # the parser drops an element whose end is missing
            raise StudyError(Reason.UNREADABLE, why_no_pixels(data))
        raise StudyError(Reason.NO_PIXELS, "no pixel data element")
    if not elements.raw("PixelData")[1]:
        raise StudyError(Reason.NO_PIXELS, "the pixel data element is empty")
    found = elements.dataset.get_item("PixelData")
    if _transfer_syntax(elements) in NATIVE and getattr(found, "length", 0) == UNDEFINED:
        elements.refuse("PixelData", "fragments", "native pixels, as TransferSyntaxUID says")
    rows = elements.dataset.get_item("Rows")
    if found.VR is None and rows is not None and rows.VR is not None:  # its length was read as another kind's
        elements.refuse("PixelData", "no known value representation", "OB or OW")


def _layout(elements: Elements, header: StudyHeader) -> Layout:
    """What the header says of the pixels.

    Raises:
        StudyError: colour, multiframe or unreadable: they are not one greyscale frame of a sane size.
    """
    grey = header.photometric in ("MONOCHROME1", "MONOCHROME2")
    samples = _only(elements, "SamplesPerPixel", sure=grey)
    if not header.photometric:
        elements.refuse("PhotometricInterpretation", "no value", "MONOCHROME1 or MONOCHROME2")
    if samples != 1 or not grey:
        raise StudyError(
            Reason.COLOUR, f"SamplesPerPixel {samples}, PhotometricInterpretation {_word(header.photometric)}"
        )
    frames = _only(elements, "NumberOfFrames", sure=False)
    if frames > 1:
        raise StudyError(Reason.MULTIFRAME, f"{frames} frames; wanted one")
    rows, columns = elements.required("Rows"), elements.required("Columns")
    if min(rows, columns) < 1 or rows * columns > MAX_PIXELS:
        wanted = f"at least 1x1 and at most {MAX_PIXELS:,} pixels"
        raise StudyError(Reason.UNREADABLE, f"Rows and Columns: found {rows}x{columns}; wanted {wanted}")
    side = max(columns, round(rows * header.aspect))
    if side > MAX_SIDE:
        raise StudyError(Reason.UNREADABLE, f"a side of {side:,} pixels; wanted at most {MAX_SIDE:,}")
    allocated, stored = elements.required("BitsAllocated"), elements.required("BitsStored")
    if allocated not in (8, 16, 32):
        elements.refuse("BitsAllocated", f"{allocated}", "8, 16 or 32")
    if not 0 < stored <= allocated:
        elements.refuse("BitsStored", f"{stored}", f"1 to {allocated}")
    high_bit = elements.integer("HighBit")
    if high_bit is None:
        high_bit = stored - 1
        elements.note("HighBit is taken for BitsStored - 1.")
    signed = elements.required("PixelRepresentation")
    if signed not in (0, 1):
        elements.refuse("PixelRepresentation", f"{signed}", "0 or 1")
    if header.transfer_syntax not in TRANSFER_SYNTAXES:
        raise StudyError(
            Reason.UNREADABLE, f"no decoder for transfer syntax {_word(header.transfer_syntax)}; convert the file"
        )
    return Layout(rows, columns, allocated, stored, high_bit, signed == 1)


def _only(elements: Elements, keyword: str, *, sure: bool) -> int:
    """The number of samples or frames; 1 where the file says nothing, or is `sure` to have one and says nothing readable."""
    values = elements.numbers(keyword)
    if sure and values and isinstance(values[0], str):
        elements.note(f"{keyword} is not readable: a grey image has 1.")
        return 1
    count = elements.integer(keyword)
    if count is None or count < 1:
        if keyword in elements:
            elements.note(f"{keyword} has no value above 0: 1 is taken.")
        return 1
    return count


def _pixels(elements: Elements, header: StudyHeader, layout: Layout) -> Pixels:
    vr = str(elements.dataset.get_item("PixelData").VR or "OW")
    stored, decoder, notes = decode(elements.raw("PixelData")[1], vr, layout, header.transfer_syntax)
    for sentence in notes:
        elements.note(sentence)
    low, high = (0, 2**layout.stored - 1)
    if layout.signed:
        low, high = -(2 ** (layout.stored - 1)), 2 ** (layout.stored - 1) - 1
    padding = _padding(elements, stored, layout)
    seen = stored if padding is None else stored[~padding]
    if seen.size == 0:
        raise StudyError(Reason.CONSTANT_PIXELS, "every pixel is padding, as PixelPaddingValue says")
    if seen.min() == seen.max():
        raise StudyError(Reason.CONSTANT_PIXELS, f"every pixel is {seen[0] if padding is not None else stored.flat[0]}")

    slope, intercept = _rescale(elements)
    lut = modality_lut(elements, header.signed, rescaled=(slope, intercept) != (1.0, 0.0))
    transform: Callable[[np.ndarray], np.ndarray] | None = None
    if lut:
        transform, low, high = lut, 0, 2**lut.bits - 1
    elif (slope, intercept) != (1.0, 0.0):
        first, last = low * slope + intercept, high * slope + intercept
        if slope == 0 or max(abs(first), abs(last)) > np.finfo(np.float32).max:
            elements.refuse(
                "RescaleSlope", f"{slope:g}, intercept {intercept:g}", "a slope other than 0, and 32-bit floats"
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
    luts = voi_luts(elements, low, high, has_window=bool(header.windows))
    if header.window_fault and not luts and not (header.in_hounsfield and low < 0):
        raise StudyError(Reason.UNREADABLE, header.window_fault)
    return Pixels(values, padding, float(low), float(high), luts, decoder, tuple(elements.notes))


def _rescale(elements: Elements) -> tuple[float, float]:
    """Rescale slope and intercept; 1 and 0 where the file has neither (PS3.3, C.11.1: each is required with the other)."""
    slope, intercept = elements.number("RescaleSlope"), elements.number("RescaleIntercept")
    if slope is None and intercept not in (None, 0.0):
        elements.refuse("RescaleSlope", "no value", f"one, as RescaleIntercept is {intercept:g}")
    if intercept is None and slope not in (None, 1.0):
        elements.refuse("RescaleIntercept", "no value", f"one, as RescaleSlope is {slope:g}")
    return 1.0 if slope is None else slope, intercept or 0.0


def blocks(shape: Sequence[int]) -> Iterator[slice]:
    """Slices of rows of about a million pixels: arithmetic in them needs no temporary array of the image's size."""
    step = max(1, 2**20 // shape[1])
    return (slice(start, start + step) for start in range(0, shape[0], step))


def _padding(elements: Elements, stored: np.ndarray, layout: Layout) -> np.ndarray | None:
    """Where the stored values are padding: one value, or a range up to the range limit (PS3.3, C.7.5.1.1.2)."""
    padding = _padding_value(elements, "PixelPaddingValue", stored, layout)
    limit = _padding_value(elements, "PixelPaddingRangeLimit", stored, layout)
    if padding is None:
        if limit is not None:
            elements.note("PixelPaddingRangeLimit stands without a usable PixelPaddingValue and is not used.")
        return None
    first, last = sorted((padding, padding if limit is None else limit))
    mask = (stored >= first) & (stored <= last)
    return mask if mask.any() else None


def _padding_value(elements: Elements, keyword: str, stored: np.ndarray, layout: Layout) -> int | None:
    value = elements.signed_word(keyword, layout.signed)
    bits = layout.stored
    if value is None:
        return None
    if layout.signed and 2 ** (bits - 1) <= value < 2**bits:
        elements.note(f"{keyword} is above all stored values and is read as two's complement.")
        value -= 2**bits
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if layout.signed else (0, 2**bits - 1)
    if not low <= value <= high:
        if (
            bits < layout.allocated and (stored == (value & (2**bits - 1))).any()
        ):  # was the padding cut off like the rest?
            elements.refuse(keyword, f"{value}", f"{low} to {high}, as BitsStored says")
        elements.note(f"{keyword} lies outside the values that BitsStored allows, and is not used.")
        return None
    return value


def _word(text: str) -> str:
    """`text` for a message, where it is a code of the standard; in a damaged file it may be anything, even a name."""
    return text if _CODE.fullmatch(text) else "(none)" if not text else "(no valid code)"
