"""From stored values to what the screen shows: the grey-scale pipeline of an image, as a presentation state has to say it.

A viewer applies the state's own pipeline to the stored values; what the state leaves out is identity (PS3.4, N.2.1). So it
carries all of it, with the values that were settled on where the image's are malformed, in the plainest legal encoding.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pneumonia.dicom.elements import Elements
from pneumonia.dicom.parsing import parse
from pneumonia.dicom.tables import Lut, modality_lut, voi_luts
from pneumonia.reading_room.objects.source import whole

if TYPE_CHECKING:
    from pydicom import Dataset

    from pneumonia.dicom.study import StudyHeader
    from pneumonia.dicom.windowing import Rendering

UNSPECIFIED = "US"  # of the unit after the modality LUT (PS3.3, C.11.1.1.2)


def pipeline(data: bytes, rendering: Rendering, choice: int = 1) -> Dataset:
    """Modality LUT or rescale, one VOI LUT or one window, and the shape of the presentation LUT, as elements of a state.

    Arguments:
        data: the DICOM file, which `pneumonia.dicom.study.read_study` has read.
        rendering: how it was windowed.
        choice: which of the file's VOI LUTs was wanted, 1 the first; the last where it has fewer.
    """
    from pydicom import Dataset
    from pydicom.valuerep import format_number_as_ds

    elements = Elements(*parse(data, pixels=True))  # a header is followed to its end only where the pixels are wanted
    result = Dataset()
    low, high, factor = _add_modality(result, elements, rendering.header)
    voi = Dataset()
    if rendering.window == "voi_lut":
        tables = voi_luts(elements, low, high, has_window=bool(rendering.header.windows))
        voi.VOILUTSequence = [_item(_stretched(tables[min(choice, len(tables)) - 1], factor), spread=True)]
    else:
        center, width, function = _window(rendering, low, high)
        if factor != 1:
            half = 0.5 if function == "LINEAR" else 0.0  # which counts whole values
            center, width = (center - half) * factor + half, (width - 2 * half) * factor + 2 * half
        voi.WindowCenter, voi.WindowWidth = format_number_as_ds(center), format_number_as_ds(width)
        if function != "LINEAR":
            voi.VOILUTFunction = function
    result.SoftcopyVOILUTSequence = [voi]
    result.PresentationLUTShape = "INVERSE" if rendering.inverted else "IDENTITY"
    return result


def add_pixel_shape(area: Dataset, header: StudyHeader) -> None:
    """Say in an item of the displayed area how large, or else of what shape, a pixel is: vertical, then horizontal."""
    if math.isfinite(header.spacing):
        area.pop("PresentationPixelAspectRatio", None)
        area.PresentationPixelSpacing = [f"{header.spacing:.10g}", f"{header.spacing / header.aspect:.10g}"]
    else:
        area.PresentationPixelAspectRatio = whole(header.aspect)


def _window(rendering: Rendering, low: float, high: float) -> tuple[float, float, str]:
    """Centre, width and function of the window that the models saw, in values that go from `low` to `high`."""
    center, width = rendering.center, rendering.width
    function = {"dicom": rendering.header.window_function, "hu": "LINEAR"}.get(rendering.window, "LINEAR_EXACT")
    if rendering.window == "percentile":
        within = (high - low) / 255 / 2  # half a grey level
        if abs(center - width / 2 - low) < within and abs(center + width / 2 - high) < within:
            center, width = (low + high) / 2, high - low  # what is shown where an image says nothing
    if function == "LINEAR_EXACT":
        # The same line as LINEAR, which is what viewers take that know no function (PS3.3, C.11.2.1.2 and C.11.2.1.3).
        return center + 0.5, width + 1, "LINEAR"
    return center, width, function


def _add_modality(result: Dataset, elements: Elements, header: StudyHeader) -> tuple[float, float, float]:
    """Add the modality LUT or the rescale.

    Returns:
        The range of values after it, as the image says, and by what the state's values are those multiplied.
    """
    from pydicom.valuerep import format_number_as_ds

    slope, intercept = elements.number("RescaleSlope"), elements.number("RescaleIntercept")
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    table = modality_lut(elements, header.signed, rescaled=(slope, intercept) != (1.0, 0.0))
    if table:
        # Entries that need fewer bits than the 16 which the descriptor has to say are an error to checkers.
        top = int(table.table.max())
        factor = (2**16 - 1) / top if 0 < top < 2**15 else 1.0
        item = _item(replace(table, table=np.rint(table.table * factor)))
        item.ModalityLUTType = UNSPECIFIED
        result.ModalityLUTSequence = [item]
        return 0.0, 2.0**table.bits - 1, factor
    if header.rescaled or (slope, intercept) != (1.0, 0.0):
        result.RescaleSlope, result.RescaleIntercept = format_number_as_ds(slope), format_number_as_ds(intercept)
        result.RescaleType = (
            header.rescale_type if re.fullmatch(r"[A-Z0-9_/ ]{1,16}", header.rescale_type) else UNSPECIFIED
        )
    ends = (-(2.0 ** (header.bits_stored - 1)), 2.0 ** (header.bits_stored - 1) - 1)
    first, last = (end * slope + intercept for end in (ends if header.signed else (0.0, 2.0**header.bits_stored - 1)))
    return min(first, last), max(first, last), 1.0


def _stretched(lut: Lut, factor: float) -> Lut:
    """The same table for values that are so many times those it was made for; its first value is then 0."""
    return lut if factor == 1 else Lut(0, lut(np.arange(2**16) / factor), lut.bits)


def _item(lut: Lut, *, spread: bool = False) -> Dataset:
    """A table with entries of 16 bits: a state's have 8 or 16 (PS3.3, C.11.2.1.1), and of 8 readers differ in the packing.

    Arguments:
        spread: whether its values are grey values, whose range counts, not numbers.
    """
    from pydicom import Dataset

    table = np.rint(lut.table * ((2**16 - 1) / (2**lut.bits - 1))) if spread else lut.table
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if lut.first < 0 else "US", [len(table) % 2**16, lut.first, 16])
    item.add_new("LUTData", "OW", table.astype("<u2").tobytes())
    return item
