"""Stored values to 8 bits: which grey-scale transformation a radiograph gets, and its arithmetic.

`auto` takes the lung window in HU only where the file is calibrated in HU; a chest radiograph is not. Otherwise it
takes what the file says of itself (one of its VOI LUTs, else of its windows), else leaves 8-bit values as they are, else
spreads the values between two percentiles. MONOCHROME1 is inverted in every mode, so that bone is bright.

Pixels keep their grid: boxes are in pixels of the file. Where `StudyHeader.aspect` is not 1 the pixels are not square.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pneumonia.dicom.study import FUNCTIONS, Pixels, StudyHeader, blocks, is_window, read_study
from pneumonia.rejection import Reason, StudyError

EXTREME = 0.95  # share of black and white pixels above which a window is worth a look
MODES = ("auto", "hu", "dicom", "percentile", "none")

Grey = Callable[[np.ndarray], np.ndarray]  # values after the modality LUT -> 0 (black) to 1 (white), in float64


@dataclass(frozen=True)
class Rendering:
    """An image as the models see it, and what a person needs to judge it.

    Attributes:
        image: uint8 `[rows, columns]`, 0 black.
        header: what the file says of itself.
        decoder: which decoder was used.
        window: hu, voi_lut, dicom, percentile or none.
        center: of the window, in values after the modality LUT; NaN for voi_lut.
        width: of the window, in the same values; NaN for voi_lut.
        inverted: whether low values are bright, as in MONOCHROME1.
        notes: what was mended or chosen, in fixed sentences without a word of the file.
    """

    image: np.ndarray
    header: StudyHeader
    decoder: str
    window: str
    center: float
    width: float
    inverted: bool
    notes: tuple[str, ...]


def study_to_uint8(
    data: bytes,
    *,
    mode: str,
    center: float,
    width: float,
    percentiles: Sequence[float],
    choice: int = 1,
    study: str = "",
) -> Rendering:
    """One DICOM file as the models see it.

    Arguments:
        data: of the file.
        mode, center, width, percentiles, choice: as `to_uint8` takes them.
        study: its id.

    Raises:
        StudyError: as `pneumonia.dicom.study.read_study` and `to_uint8` do.
    """
    header, pixels = read_study(data, study)
    return to_uint8(header, pixels, mode=mode, center=center, width=width, percentiles=percentiles, choice=choice)


def to_uint8(
    header: StudyHeader,
    pixels: Pixels,
    *,
    mode: str,
    center: float,
    width: float,
    percentiles: Sequence[float],
    choice: int = 1,
) -> Rendering:
    """The image in 8 bits.

    Arguments:
        header, pixels: as `pneumonia.dicom.study.read_study` gives them.
        mode: `hu` applies `center` and `width` to whatever the values are; `dicom` the file's own VOI LUT or window;
            `percentile` makes the two `percentiles` black and white; `none` maps the whole range that the file could
            hold, so that 8-bit files stay as they are; `auto` chooses (see the module). `dicom` goes on like `auto`
            where the file has no window of its own.
        center, width: the window of `hu`, in HU, by the linear function of PS3.3, C.11.2.1.2.1.
        percentiles: two of them, per cent of the pixels without padding.
        choice: which of the file's VOI LUTs or windows, 1 the first; the last where it has fewer. They are alternative
            views (PS3.3, C.11.2), and the first is what its maker would show first.

    Raises:
        StudyError: constant_pixels, where the window leaves one grey value; unreadable, where the file's own window is
            asked for and is none.
    """
    if mode not in MODES:
        raise ValueError(f"window mode must be one of {', '.join(MODES)}, got {mode!r}")
    chosen = _choose(header, pixels, mode, center, width, percentiles, choice)
    inverted = header.photometric == "MONOCHROME1"
    if chosen.window == "none" and pixels.values.dtype == np.uint8 and (pixels.low, pixels.high) == (0, 255):
        image = 255 - pixels.values if inverted else pixels.values  # the challenge's files: nothing to compute
    else:
        image = _quantize(pixels.values, chosen.grey, inverted)
        chosen = _check_contrast(image if pixels.padding is None else image[~pixels.padding], chosen)
    if pixels.padding is not None:
        image = np.where(pixels.padding, np.uint8(0), image)
    notes = tuple(dict.fromkeys((*header.notes, *pixels.notes, *chosen.notes)))
    return Rendering(image, header, pixels.decoder, chosen.window, chosen.center, chosen.width, inverted, notes)


def _check_contrast(seen: np.ndarray, chosen: _Choice) -> _Choice:
    """Refuse an image of one grey value: its pixels differ, so the window is not of these pixels. Note one of nearly two."""
    low, high = int(seen.min()), int(seen.max())
    if low == high:
        window = f"center {chosen.center:g}, width {chosen.width:g}" if chosen.window != "voi_lut" else "the table"
        element = {"dicom": "WindowCenter and WindowWidth: ", "voi_lut": "VOILUTSequence: "}.get(chosen.window, "")
        raise StudyError(
            Reason.CONSTANT_PIXELS, f"{element}window {chosen.window} ({window}) makes every pixel {low} of 255"
        )
    if np.count_nonzero((seen == 0) | (seen == 255)) > EXTREME * seen.size:
        note = f"The window makes more than {EXTREME:.0%} of the pixels black or white."
        return chosen._replace(notes=(*chosen.notes, note))
    return chosen


def window(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Window `values` to 0..1 in float64, by the formulas of PS3.3, C.11.2.1.2 and C.11.2.1.3.

    LINEAR needs width >= 1 (at 1 it is a threshold), LINEAR_EXACT and SIGMOID width > 0; else ValueError.
    """
    values = np.asarray(values, dtype=np.float64)
    if function not in FUNCTIONS:
        raise ValueError(f"VOI LUT function must be one of {', '.join(FUNCTIONS)}, got {function!r}")
    if not is_window(width, function):
        raise ValueError(f"window width must be at least 1 for LINEAR and above 0 else, got {width} for {function}")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR":  # centre and width count whole values, hence the halves and ones
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def percentile_range(values: np.ndarray, percentiles: Sequence[float]) -> tuple[float, float]:
    """The two values at `percentiles` (per cent): the lowest with at least that share of all values at or below it."""
    low, high = (float(item) for item in percentiles)
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles must be two numbers with 0 <= low < high <= 100, got {list(percentiles)}")
    flat = values.ravel()
    if flat.dtype.kind in "iu":
        start, span = int(flat.min()), int(flat.max()) - int(flat.min()) + 1
        if span <= 2**16:  # counting beats sorting ten times over
            parts = (flat[place : place + 2**20].astype(np.int64) - start for place in range(0, flat.size, 2**20))
            cumulative = np.cumsum(sum(np.bincount(part, minlength=span) for part in parts))
            index = np.searchsorted(cumulative, np.array([low, high]) / 100 * flat.size)
            return float(start + index[0]), float(start + index[1])
    first, last = np.percentile(flat, [low, high], method="inverted_cdf")
    return float(first), float(last)


class _Choice(NamedTuple):
    grey: Grey
    window: str
    center: float
    width: float
    notes: tuple[str, ...] = ()


def _choose(
    header: StudyHeader,
    pixels: Pixels,
    mode: str,
    center: float,
    width: float,
    percentiles: Sequence[float],
    choice: int,
) -> _Choice:
    if mode == "hu" or (mode == "auto" and header.in_hounsfield and pixels.low < 0):
        return _Choice(lambda values: window(values, center, width), "hu", center, width)
    if mode == "auto" and header.in_hounsfield:
        chosen = _choose(header, pixels, "dicom", center, width, percentiles, choice)
        note = "The file says HU, but no value can be below 0, as air is: the lung window is not used."
        return chosen._replace(notes=(*chosen.notes, note))
    if mode in ("auto", "dicom"):
        own = [pair for pair in header.windows if is_window(pair[1], header.window_function)]
        there = len(pixels.voi_luts) or len(own)
        notes = ("The file has fewer windows than the chosen number: its last is used.",) if 0 < there < choice else ()
        if pixels.voi_luts:
            lut = pixels.voi_luts[min(choice, there) - 1]
            return _Choice(lambda values: lut(values) / (2**lut.bits - 1), "voi_lut", math.nan, math.nan, notes)
        if own:
            own_center, own_width = own[min(choice, there) - 1]
            function = header.window_function
            return _Choice(
                lambda values: window(values, own_center, own_width, function), "dicom", own_center, own_width, notes
            )
        if header.window_fault:
            raise StudyError(Reason.UNREADABLE, header.window_fault)
        # Values of 8 bits were made for a screen; a rescale, or fewer or more bits, says they were not.
        mode = "none" if pixels.values.dtype == np.uint8 and header.bits_stored == 8 else "percentile"
    low, high = pixels.low, pixels.high
    if mode == "percentile":
        seen = pixels.values if pixels.padding is None else pixels.values[~pixels.padding]
        low, high = percentile_range(seen, percentiles)
        if low == high:  # nearly all pixels are equal: the rest must not vanish
            low, high = float(seen.min()), float(seen.max())
    middle, span = (low + high) / 2, high - low
    if not 0 < span < math.inf:  # a slope that vanishes beside the intercept, or one that overflows
        found = f"values from {low:g} to {high:g}"
        raise StudyError(
            Reason.UNREADABLE, f"RescaleSlope and RescaleIntercept: found {found}; wanted some that can be told apart"
        )
    return _Choice(lambda values: window(values, middle, span, "LINEAR_EXACT"), mode, middle, span)


def _quantize(values: np.ndarray, grey: Grey, inverted: bool) -> np.ndarray:
    """Round 0..1 to 0..255. For integers of 16 bits the function is worked out once a value, not once a pixel."""

    def to_bytes(items: np.ndarray) -> np.ndarray:
        share = grey(items)
        return np.rint(255 * (1 - share if inverted else share)).astype(np.uint8)

    low, table = 0, None
    if values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        table = to_bytes(np.arange(low, high + 1)) if high - low < 2**16 else None
    image = np.empty(values.shape, np.uint8)
    for rows in blocks(values.shape):
        image[rows] = to_bytes(values[rows]) if table is None else np.take(table, values[rows].astype(np.int64) - low)
    return image
