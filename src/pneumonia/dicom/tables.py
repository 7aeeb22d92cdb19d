"""Lookup tables of a file (PS3.3, C.11.1 and C.11.2), whose descriptors are believed as far as the data bear them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pneumonia.dicom.elements import Elements
from pneumonia.rejection import StudyError

if TYPE_CHECKING:
    from pydicom import Dataset


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


def modality_lut(elements: Elements, signed: bool, *, rescaled: bool) -> Lut | None:
    """The table of the modality LUT sequence, which goes before a rescale; None where there is none.

    Arguments:
        signed: whether the stored values are.
        rescaled: whether the file has a rescale that changes values.

    Raises:
        StudyError: unreadable, naming the element.
    """
    items = _items(elements, "ModalityLUTSequence")
    if not items:
        return None
    if len(items) > 1:
        elements.note("ModalityLUTSequence has several items: the first that is readable is used.")
    low, high = (-(2**31), 0) if signed else (0, 2**31)
    luts, fault = _readable(elements, items, "ModalityLUTSequence", low, high)
    if luts:
        if rescaled:
            elements.note("ModalityLUTSequence stands beside a rescale: the table is used.")
        return luts[0]
    if fault and elements.number("RescaleSlope") is None:
        raise fault
    elements.note("ModalityLUTSequence has no item that is readable: the rescale is used.")
    return None


def voi_luts(elements: Elements, low: float, high: float, *, has_window: bool) -> tuple[Lut, ...]:
    """The usable tables of the VOI LUT sequence; a window of the file takes the place of those that are not.

    Arguments:
        low, high: the range of values they are applied to, which has the sign of the first mapped value.
        has_window: whether the file has a usable window.

    Raises:
        StudyError: unreadable, naming the element, where neither is usable.
    """
    luts: list[Lut] = []
    try:
        luts, fault = _readable(elements, _items(elements, "VOILUTSequence"), "VOILUTSequence", low, high)
    except StudyError as error:
        fault = error
    if fault and not luts and not has_window:
        raise fault
    if fault:
        others = "its other tables are" if luts else "the window is"
        elements.note(f"VOILUTSequence has an item that is not readable: {others} used.")
    return tuple(luts)


def _items(elements: Elements, keyword: str) -> list[Dataset]:
    if keyword not in elements:
        return []
    try:
        items = elements.dataset[keyword].value
        items = [] if items is None or items == b"" else list(items)
    except Exception:
        items = [None]
    if any(not hasattr(item, "get_item") for item in items):
        elements.refuse(keyword, "no items", "a sequence")
    if not items:
        elements.note(f"{keyword} has no items and counts as absent.")
    return items


def _readable(
    elements: Elements, items: list[Dataset], name: str, low: float, high: float
) -> tuple[list[Lut], StudyError | None]:
    """The tables of a sequence that can be read, and why the first other one cannot."""
    luts: list[Lut] = []
    fault: StudyError | None = None
    for item in items:
        try:
            if _is_empty(item):
                elements.refuse(name, "an item without LUTDescriptor or LUTData", "both")
            luts.append(_lut(elements, item, name, low, high))
        except StudyError as error:
            fault = fault or error
    return luts, fault


def _is_empty(item: Dataset) -> bool:
    own = Elements(item)
    return any(keyword not in own or not own.raw(keyword)[1] for keyword in ("LUTDescriptor", "LUTData"))


def _lut(elements: Elements, item: Dataset, name: str, low: float, high: float) -> Lut:
    """The table of an item of a LUT sequence (PS3.3, C.11.1.1), for values from `low` to `high`.

    Its descriptor is believed only as far as the data bear it out.
    """
    own = Elements(item)
    vr, descriptor, little = own.raw("LUTDescriptor")
    order = "<" if little else ">"
    if len(descriptor) != 6 or vr not in ("US", "SS", "US or SS"):
        elements.refuse(f"LUTDescriptor of {name}", f"{len(descriptor)} bytes", "three values of 2 bytes")
    entries, first, bits = (int(word) for word in np.frombuffer(descriptor, f"{order}u2"))
    entries = entries or 2**16
    if not 0 < bits <= 16:
        elements.refuse(f"LUTDescriptor of {name}", f"{bits} bits", "8 to 16")
    # Its VR may be the wrong one of US and SS: the first value has the sign of the values it is applied to.
    if low < 0 and first >= 2**15:
        if vr != "SS" and first <= high:
            elements.refuse(
                f"LUTDescriptor of {name}", f"first value {first} or {first - 2**16}", "one that is possible"
            )
        first -= 2**16
    elif vr == "SS" and first >= 2**15:
        elements.note(f"LUTDescriptor of {name} has VR SS beside unsigned values: its first value is read unsigned.")
    table = _entries(elements, own, name, entries, bits)
    return Lut(first, table, _depth(elements, table, name, bits))


def _entries(elements: Elements, item: Elements, name: str, entries: int, bits: int) -> np.ndarray:
    """The table's uint16 values, from words, or from bytes where there is one for each entry of at most 8 bits."""
    element = item.dataset.get_item("LUTData")
    vr, data, little = item.raw("LUTData")
    if not isinstance(element.value, bytes) or vr in ("DS", "IS", "LO"):  # made here, or text
        numbers = item.numbers("LUTData") or []
        if any(isinstance(number, str) or not 0 <= number < 2**16 for number in numbers):
            elements.refuse(f"LUTData of {name}", "no whole numbers of 16 bits", f"{entries}")
        table = np.array(numbers, np.uint16)
    elif len(data) in (entries, entries + entries % 2) and bits <= 8 and entries > 1:
        table = np.frombuffer(data, "u1")
        if not little and element.VR == "OW" and len(data) % 2 == 0:  # two entries a word, whose bytes are swapped
            table = table.reshape(-1, 2)[:, ::-1].ravel()
        table = table.astype(np.uint16)
    else:
        table = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2").astype(np.uint16)
    if not entries <= len(table) <= entries + 1:
        elements.refuse(f"LUTData of {name}", f"{len(table):,} entries", f"{entries:,}, as LUTDescriptor says")
    if len(table) > entries:
        elements.note(f"LUTData of {name} has one entry more than LUTDescriptor says, which is left out.")
    return table[:entries]


def _depth(elements: Elements, table: np.ndarray, name: str, bits: int) -> int:
    """The bits of a table's values: what the descriptor says, unless the values cannot be of so many."""
    top = int(table.max())
    needed = top.bit_length()
    if needed > bits:
        steps = np.diff(table.astype(np.int32))
        if (steps < 0).any() and (steps > 0).any():
            elements.refuse(f"LUTDescriptor of {name}", f"{bits} bits beside values of {needed}", f"{needed} bits")
    else:
        full = top == 2**needed - 1 and needed < bits
        # Values of a modality LUT are numbers, whose range may be larger.
        if name == "ModalityLUTSequence" or needed == 0 or not (full or bits - needed >= 2):
            return bits
    elements.note(f"LUTDescriptor of {name} says {bits} bits, LUTData has values of {needed}, which are taken.")
    return needed
