"""Stored values to 8 bits: which grey-scale transformation a radiograph gets, and its arithmetic.

`auto` takes the lung window in HU only where the file is calibrated in HU; a chest radiograph is not. Otherwise it
takes what the file says of itself (one of its VOI LUTs, else of its windows), else leaves 8-bit values as they are, else
spreads the values between two percentiles. MONOCHROME1 is inverted in every mode, so that bone is bright.

Pixels keep their grid: boxes are in pixels of the file. Where `StudyHeader.aspect` is not 1 the pixels are not square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pneumonia.dicom.study import Pixels, StudyHeader, blocks, read_study

MODES = ("auto", "hu", "dicom", "percentile", "none")
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")

Grey = Callable[[np.ndarray], np.ndarray]  # values after the modality LUT -> 0 (black) to 1 (white), in float64


def study_to_uint8(
    data: bytes,
    *,
    mode: str,
    center: float,
    width: float,
    percentiles: Sequence[float],
    choice: int = 1,
    study: str = "",
) -> tuple[np.ndarray, str, StudyHeader]:
    """One DICOM file to `(image uint8 [rows, columns], window used, header)`.

    The window used is hu, voi_lut, dicom, percentile or none. Raises StudyError as `pneumonia.dicom.study.read_study` does.
    """
    header, pixels = read_study(data, study)
    image, used = to_uint8(
        header, pixels, mode=mode, center=center, width=width, percentiles=percentiles, choice=choice
    )
    return image, used, header


def to_uint8(
    header: StudyHeader,
    pixels: Pixels,
    *,
    mode: str,
    center: float,
    width: float,
    percentiles: Sequence[float],
    choice: int = 1,
) -> tuple[np.ndarray, str]:
    """The image as uint8 `[rows, columns]`, 0 black, and the window used.

    mode: `hu` applies `center` and `width` to whatever the values are; `dicom` the file's own VOI LUT or window;
        `percentile` makes the two `percentiles` (per cent of the pixels without padding) black and white; `none` maps
        the whole range that the file could hold, so that 8-bit files stay as they are; `auto` chooses (see the module).
        `dicom` goes on like `auto` where the file has no window of its own.
    center, width: the window of `hu`, in HU, by the linear function of PS3.3, C.11.2.1.2.1.
    choice: which of the file's VOI LUTs or windows, 1 the first; the last where it has fewer. They are alternative views
        (PS3.3, C.11.2), and the first is what its maker would show first.
    """
    if mode not in MODES:
        raise ValueError(f"window mode must be one of {', '.join(MODES)}, got {mode!r}")
    grey, used = _choose(header, pixels, mode, center, width, percentiles, choice)
    inverted = header.photometric == "MONOCHROME1"
    if used == "none" and pixels.values.dtype == np.uint8 and (pixels.low, pixels.high) == (0, 255):
        image = 255 - pixels.values if inverted else pixels.values  # the challenge's files: nothing to compute
    else:
        image = _quantize(pixels.values, grey, inverted)
    if pixels.padding is not None:
        image = np.where(pixels.padding, np.uint8(0), image)
    return image, used


def window(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Window `values` to 0..1 in float64, by the formulas of PS3.3, C.11.2.1.2 and C.11.2.1.3.

    LINEAR needs width >= 1 (at 1 it is a threshold), LINEAR_EXACT and SIGMOID width > 0; else ValueError.
    """
    values = np.asarray(values, dtype=np.float64)
    if function not in FUNCTIONS:
        raise ValueError(f"VOI LUT function must be one of {', '.join(FUNCTIONS)}, got {function!r}")
    if not _is_window(width, function):
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


def _choose(
    header: StudyHeader,
    pixels: Pixels,
    mode: str,
    center: float,
    width: float,
    percentiles: Sequence[float],
    choice: int,
) -> tuple[Grey, str]:
    if mode == "hu" or (mode == "auto" and header.in_hounsfield):
        return lambda values: window(values, center, width), "hu"
    if mode in ("auto", "dicom"):
        if pixels.voi_luts:
            lut = pixels.voi_luts[min(choice, len(pixels.voi_luts)) - 1]
            return lambda values: lut(values) / (2**lut.bits - 1), "voi_lut"
        function = header.window_function if header.window_function in FUNCTIONS else "LINEAR"
        own = [pair for pair in header.windows if _is_window(pair[1], function)]
        if own:
            own_center, own_width = own[min(choice, len(own)) - 1]
            return lambda values: window(values, own_center, own_width, function), "dicom"
        # Values of 8 bits were made for a screen; a rescale, or fewer or more bits, says they were not.
        mode = "none" if pixels.values.dtype == np.uint8 and header.bits_stored == 8 else "percentile"
    low, high = pixels.low, pixels.high
    if mode == "percentile":
        seen = pixels.values if pixels.padding is None else pixels.values[~pixels.padding]
        low, high = percentile_range(seen, percentiles)
        if low == high:  # nearly all pixels are equal: the rest must not vanish
            low, high = float(seen.min()), float(seen.max())
    return lambda values: window(values, (low + high) / 2, high - low, "LINEAR_EXACT"), mode


def _is_window(width: float, function: str) -> bool:
    return width >= 1 if function == "LINEAR" else width > 0


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
