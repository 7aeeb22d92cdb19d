"""Elements of an image as an object may repeat them: kept where legal, mended where the meaning is beyond doubt, else left out.

One rule a value representation (PS3.5, 6.2), worked out from the bytes of the file. Text becomes Unicode, whatever
character set it was written in.
"""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from pneumonia.dicom.elements import Elements

if TYPE_CHECKING:
    from pydicom import Dataset

UTF8 = "ISO_IR 192"
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_DATE = re.compile(r"([12]\d{3})([-.]?)(\d{2})\2(\d{2})")  # with dots in ACR-NEMA, with dashes by ISO 8601
_TIME = re.compile(r"([01]\d|2[0-3])(?:(:?)([0-5]\d)(?:\2([0-5]\d)(\.\d{1,6})?)?)?")
_CODE = re.compile(r"[A-Z0-9 _]{0,16}")
_ENUMERATED = {
    "PatientSex": {"M": "M", "F": "F", "O": "O", "MALE": "M", "FEMALE": "F", "OTHER": "O"},
    "Laterality": {"R": "R", "L": "L", "RIGHT": "R", "LEFT": "L"},
    "LossyImageCompression": {"00": "00", "01": "01"},
    "UniversalEntityIDType": {name: name for name in ("DNS", "EUI64", "ISO", "URI", "UUID", "X400", "X500")},
}
_LENGTHS = {"LO": 64, "SH": 16, "UT": 1024}  # characters; a UT may be longer, but names nobody
_AXES = ("AP", "RL", "HF")  # of a patient who stands on two feet
# Terms of Specific Character Set (PS3.3, C.12.1.1.2) as they are misspelt, without blanks, dashes and underscores.
_MISSPELT = {
    "": "", "ASCII": "", "USASCII": "", "UTF8": UTF8, "LATIN1": "ISO_IR 100", "ISO88591": "ISO_IR 100", "GB18030": "GB18030",
    "GBK": "GBK", "ISO2022GBK": "GBK", "ISO202258": "ISO 2022 IR 58",
}  # fmt: skip
_WHOLE = ("ISO_IR 192", "GB18030", "GBK")  # stand alone
_JAPANESE = ("ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159")


class Header:
    """The legal values of a data set of which no value was asked for yet.

    Attributes:
        notes: what was mended or left out, in fixed sentences that name the element.
    """

    def __init__(self, dataset: Dataset, charset: list[str] | None = None) -> None:
        self._elements = Elements(dataset)
        self.notes: list[str] = []
        self.charset = _charset(self._elements.texts("SpecificCharacterSet") or []) if charset is None else charset

    def value(self, name: str, vr: str) -> str | list[str]:
        """The value of an element, empty where the image has none that is legal; a list where there may be several.

        Arguments:
            name: keyword.
            vr: DA, TM, UI, CS, PN, LO, SH or UT; a code of `_ENUMERATED` is one of those there.
        """
        if name not in self._elements:
            return ""
        found: str | None
        if name == "PatientOrientation":
            return self._orientation(name)
        if vr in ("PN", "LO", "SH", "UT"):
            found = self._text(name, vr)
        else:
            texts = self._elements.texts(name) or [""]
            found = _PLAIN[vr](texts[0]) if len(set(texts)) == 1 else None
            if found is not None and vr == "CS" and name in _ENUMERATED and found:
                found = _ENUMERATED[name].get(found)
        if found is None:
            self.notes.append(f"{name} has no legal value and is left out.")
        return found or ""

    def numbers(self, name: str, count: int) -> list[str]:
        """So many numbers above 0 as decimal strings, else an empty list."""
        found = self._elements.numbers(name) or []
        good = [item for item in found if isinstance(item, float) and item > 0]
        return [f"{item:.10g}" for item in good] if len(good) == len(found) == count else []

    def codes(self, name: str) -> list[str]:
        """Several codes, all of them legal, else an empty list."""
        texts = self._elements.texts(name) or []
        codes = [_code(text) for text in texts]
        return [code for code in codes if code] if all(codes) else []

    def items(self, name: str) -> list[Header]:
        """Those of a sequence; an unreadable one has none."""
        if name not in self._elements:
            return []
        try:
            return [Header(item, self.charset) for item in self._elements.dataset[name].value]
        except Exception:
            self.notes.append(f"{name} has no legal value and is left out.")
            return []

    def _text(self, name: str, vr: str) -> str | None:
        _, found, _ = self._elements.raw(name)
        text = decoded(found, self.charset, "\\^=" if vr == "PN" else "\\")
        if text is None:
            return None
        values = [value.strip(" \0\t\r\n") for value in text.split("\\")]
        while len(values) > 1 and not values[-1]:
            values.pop()
        value = values[0] if len(set(values)) == 1 else None
        if value is None or re.search(r"[\x00-\x1f\x7f-\x9f\ufffd]", value):
            return None
        if vr != "PN":
            return value if len(value) <= _LENGTHS[vr] else None
        groups = value.split("=")
        legal = len(groups) <= 3 and all(len(group) <= 64 and group.count("^") <= 4 for group in groups)
        return value if legal else None

    def _orientation(self, name: str) -> list[str]:
        values = self._elements.texts(name) or []
        kind = self._elements.code("AnatomicalOrientationType")
        axes = [next((axis for axis in _AXES if value[:1] and value[0] in axis), "") for value in values]
        if len(values) == 2 and kind in ("", "BIPED") and axes[0] != axes[1] and all(map(_direction, values)):
            return values
        if values:
            self.notes.append(f"{name} has no legal value and is left out.")
        return []


def decoded(found: bytes, charset: list[str], delimiters: str) -> str | None:
    """Text of an element, None where its bytes do not follow the character set.

    Arguments:
        charset: Python's names; empty where the file names none that is known.
        delimiters: characters after which the first of several sets counts again.
    """
    from pydicom.charset import decode_bytes

    if not charset or (charset == ["ascii"] and b"\x1b" not in found):  # nothing is said of other than ASCII
        try:
            return found.decode("utf-8")  # what is valid by chance in another set is hardly ever text
        except UnicodeError:
            return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            text = decode_bytes(found, charset, set(delimiters.encode()))
        except (UnicodeError, LookupError):
            return None
    text = text.replace("\x1b$)A", "")  # of ISO 2022 IR 58, which pydicom leaves
    return None if "\ufffd" in text or "\x1b" in text else text


def _charset(terms: list[str]) -> list[str]:
    """Python's names of the character sets that an image says its text is in; empty where one is not known."""
    from pydicom.charset import python_encoding

    terms = [_term(term) for term in terms] or [""]
    alone = [term for term in terms if term in _WHOLE]
    if alone:
        terms = alone[:1]
    elif len(terms) > 1 or terms[0].startswith("ISO 2022"):
        terms = [term.replace("ISO_IR", "ISO 2022 IR") for term in terms]
        if any(term in _JAPANESE for term in terms):  # one is often not named: their escape sequences tell them apart
            terms += [term for term in _JAPANESE if term not in terms]
    own = {"": "ascii", "ISO_IR 6": "ascii", "ISO 2022 IR 6": "ascii", "ISO_IR 203": "iso8859_15"}
    names = [own.get(term) or python_encoding.get(term, "") for term in terms]
    return names if all(names) else []


def _term(found: str) -> str:
    plain = re.sub(r"[\s_-]", "", found.upper())
    match = re.fullmatch(r"ISO(2022)?IR(\d{1,3})", plain)
    if match:
        return f"ISO 2022 IR {match[2]}" if match[1] else f"ISO_IR {match[2]}"
    return _MISSPELT.get(plain, "unknown")


def _direction(value: str) -> bool:
    return (
        0 < len(value) <= 3
        and all(sum(letter in axis for letter in value) <= 1 for axis in _AXES)
        and set(value) <= set("".join(_AXES))
    )


def _uid(text: str) -> str | None:
    return text if not text or (len(text) <= 64 and _UID.fullmatch(text)) else None


def _date(text: str) -> str | None:
    match = _DATE.fullmatch(text)
    if not match:
        return None if text else ""
    try:
        return datetime.date(int(match[1]), int(match[3]), int(match[4])).strftime("%Y%m%d").zfill(8)
    except ValueError:
        return None


def _time(text: str) -> str | None:
    match = _TIME.fullmatch(text)
    if not match:
        return None if text else ""
    return "".join(match[part] or "" for part in (1, 3, 4, 5))


def _code(text: str) -> str | None:
    return text.upper() if _CODE.fullmatch(text.upper()) else None


_PLAIN: dict[str, Callable[[str], str | None]] = {"UI": _uid, "DA": _date, "TM": _time, "CS": _code}
