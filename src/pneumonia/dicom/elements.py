"""The elements of a data set that decide pixels, each of them absent, readable or unreadable.

What is unreadable is mended where its meaning is beyond doubt, with a note, else it is a `StudyError` that names the
element. Values are read from the bytes of the file, whatever value representation it claims: a tag means one thing.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from pneumonia.rejection import Reason, StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_TEXT = frozenset({"AE", "AS", "CS", "DS", "IS", "LO", "LT", "SH", "ST", "UC", "UI", "UT"})
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")  # PS3.5, 6.2, DS and IS
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # may be a decimal comma or a thousands separator
_DECIMAL_STRINGS = ("RescaleIntercept", "RescaleSlope", "WindowCenter", "WindowWidth", "PixelSpacing")
_STRIPPED = " \0\t\r\n"

Value = float | str  # a number, or in words what stands in its place


class Elements:
    """Reads elements of one data set.

    Attributes:
        dataset: as `pneumonia.dicom.parsing.parse` gives it.
        notes: what was mended, in fixed sentences without a word of the file; those of `parse` come first.
    """

    def __init__(self, dataset: Dataset, notes: Iterable[str] = ()) -> None:
        self.dataset = dataset
        self.notes = list(notes)

    def note(self, sentence: str) -> None:
        """Keep a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self.dataset

    def raw(self, keyword: str) -> tuple[str, bytes, bool]:
        """Value representation (the dictionary's, where the file has none), bytes, and whether they are little-endian."""
        element = self.dataset.get_item(_tag(keyword))
        vr = str(element.VR or "UN")
        if vr not in _TEXT and vr not in _BINARY:
            vr = _dictionary_vr(keyword)
        found = element.value
        if found is None or found == "":
            found = b""
        if not isinstance(found, bytes):  # a data set that was made, not read
            several = found if isinstance(found, list | tuple) or hasattr(found, "append") else [found]
            return "LO", "\\".join(map(str, several)).encode("latin-1", "replace"), True
        return vr, found, bool(getattr(element, "is_little_endian", True))

    def texts(self, keyword: str) -> list[str] | None:
        """The values of an element of text without the spaces around them; None where it is absent, [] where empty."""
        if keyword not in self:
            return None
        values = [item.strip(_STRIPPED) for item in self.raw(keyword)[1].decode("latin-1").split("\\")]
        return self._without_empty_ends(keyword, values)

    def code(self, keyword: str) -> str:
        """The only value of an element of text, in upper case; empty where it is absent, empty or not one value."""
        values = self.texts(keyword) or [""]
        return values[0].upper() if len(set(values)) == 1 else "\\".join(values).upper()

    def numbers(self, keyword: str) -> list[Value] | None:
        """The values of an element of numbers, each a finite float or in words what it is; None if absent, [] if empty."""
        if keyword not in self:
            return None
        vr, found, little = self.raw(keyword)
        if vr in _TEXT:
            texts = self._without_empty_ends(
                keyword, [item.strip(_STRIPPED) for item in found.decode("latin-1").split("\\")]
            )
            return [self._number(keyword, text) for text in texts]
        if _dictionary_vr(keyword) in ("DS", "IS") and re.fullmatch(rb"[-+0-9.eE\\ \0]*[0-9][-+0-9.eE\\ \0]*", found):
            return [f"{vr} that may be text"]
        code = _BINARY["US" if vr == "US or SS" else vr]
        size = struct.calcsize(f"={code}")
        if len(found) % size:
            return [f"{len(found)} bytes of {vr}"]
        values = struct.unpack(f"{'<' if little else '>'}{len(found) // size}{code}", found)
        return [float(value) if math.isfinite(value) else "no finite number" for value in values]

    def number(self, keyword: str) -> float | None:
        """The only value of an element; None where it is absent or has no value.

        Raises:
            StudyError: (unreadable) it has several values, or one that is no number.
        """
        values = self.numbers(keyword)
        if values is None:
            return None
        if not values:
            self.note(f"{keyword} has no value and counts as absent.")
            return None
        if len(set(values)) > 1:
            self.refuse(keyword, f"{len(values)} values", "one")
        (value,) = set(values)
        if isinstance(value, str):
            self.refuse(keyword, value, "a number")
        return value

    def integer(self, keyword: str) -> int | None:
        """As `number`, of an element that counts."""
        value = self.number(keyword)
        if value is not None and value != int(value):
            self.refuse(keyword, "a fraction", "a whole number")
        return None if value is None else int(value)

    def required(self, keyword: str) -> int:
        """As `integer`, where there is no image without it."""
        if keyword not in self:
            self.refuse(keyword, "nothing: it is absent", "a whole number")
        value = self.integer(keyword)
        if value is None:
            self.refuse(keyword, "no value", "a whole number")
        return value

    def signed_word(self, keyword: str, signed: bool) -> int | None:
        """The value of an element of VR "US or SS", with the sign of the pixels whatever the file says (PS3.5, 6.2, note).

        Arguments:
            keyword: of the element.
            signed: whether the pixels are.

        Raises:
            StudyError: (unreadable) it is not one value of two bytes or of text.
        """
        if keyword not in self:
            return None
        vr, found, little = self.raw(keyword)
        if vr not in ("US", "SS", "US or SS") or not found:
            return self.integer(keyword)
        if len(found) % 2 or len({found[place : place + 2] for place in range(0, len(found), 2)}) > 1:
            self.refuse(keyword, f"{len(found)} bytes", "one value of 2 bytes")
        word = int.from_bytes(found[:2], "little" if little else "big", signed=signed)
        if vr != "US or SS" and word != int.from_bytes(found[:2], "little" if little else "big", signed=vr == "SS"):
            self.note(f"{keyword} has VR {vr} and is read with the sign of Pixel Representation.")
        return word

    def refuse(self, keyword: str, found: str, wanted: str) -> NoReturn:
        """Refuse the file for an element.

        Raises:
            StudyError: (unreadable) it names the element, what was found and what was wanted.
        """
        raise StudyError(Reason.UNREADABLE, f"{keyword}: found {found}; wanted {wanted}")

    def _without_empty_ends(self, keyword: str, values: list[str]) -> list[str]:
        if len(values) > 1 and not values[-1]:
            self.note(f"{keyword} ends in an empty value, which is left out.")
        while values and not values[-1]:
            values.pop()
        return values

    def _number(self, keyword: str, text: str) -> Value:
        if _DECIMAL_COMMA.fullmatch(text):
            if _THOUSANDS.fullmatch(text) and not self._writes_decimal_commas():
                return "a comma that may stand for a decimal point or for thousands"
            self.note(f"{keyword} has a decimal comma, which is read as a decimal point.")
            text = text.replace(",", ".")
        if not _NUMBER.fullmatch(text):
            return "text that is no number" if text else "an empty value"
        value = float(text)
        return value if math.isfinite(value) else "no finite number"

    def _writes_decimal_commas(self) -> bool:
        """Whether another number of the file has a comma that can be nothing but a decimal one."""
        texts = [text for keyword in _DECIMAL_STRINGS for text in self.texts(keyword) or []]
        return any(_DECIMAL_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text) for text in texts)


@cache
def _tag(keyword: str) -> int:
    from pydicom.tag import Tag

    return Tag(keyword)


@cache
def _dictionary_vr(keyword: str) -> str:
    from pydicom.datadict import dictionary_VR

    return dictionary_VR(_tag(keyword))
