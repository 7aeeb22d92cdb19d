"""Is a file DICOM, and of which image? Its first bytes tell, so that a hundred thousand files are looked at quickly.

Old files begin with the data set itself, without the preamble and the four letters DICM (PS3.10, section 7.1). Some, with them
or without, have no file meta group, or one that names no transfer syntax. `complete` puts in what is missing, so that all
others read one form of file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from pneumonia.dicom.parsing import BIG_ENDIAN, DEFLATED, IMPLICIT

SIZE = 4096  # bytes of a file that are looked at
EXPLICIT = "1.2.840.10008.1.2.1"
_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage: what a DICOMDIR is
_PREAMBLE = bytes(128) + b"DICM"
_UID = re.compile(r"[0-9][0-9.]{0,63}")
# Value representations, and those with a length of 4 bytes (PS3.5, 7.1.2).
_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


class Head(NamedTuple):
    """What the first bytes of a DICOM file say.

    Attributes:
        uid: SOP Instance UID; empty where there is none, or none that is a UID.
        directory: whether it is a DICOMDIR, the index of a medium, which holds no image.
    """

    uid: str
    directory: bool


class _Element(NamedTuple):
    tag: tuple[int, int]
    value: bytes
    place: int  # of the element itself


def look(head: bytes) -> Head | None:
    """What a file is, by its first `SIZE` bytes.

    Returns:
        None where it is no DICOM file, with a preamble or without.
    """
    start = _start(head)
    if start is None:
        return None
    meta, place, syntax = _meta(head, start)
    uid, kind = _text(meta.get((2, 3))), _text(meta.get((2, 2)))
    if syntax != DEFLATED:
        for element in _walk(head, place, syntax):
            if element.tag > (8, 0x18):
                break
            if element.tag == (8, 0x18):
                uid = _text(element.value) or uid
    return Head(uid if _UID.fullmatch(uid) else "", kind == _DIRECTORY)


def complete(data: bytes) -> bytes:
    """A DICOM file with preamble, DICM and a file meta group that names the transfer syntax: where it has none, the one seen.

    Arguments:
        data: the whole file; what is no DICOM file stays as it is.
    """
    start = _start(data[:SIZE])
    if start is None:
        return data
    meta, place, syntax = _meta(data, start)
    if (
        _text(meta.get((2, 0x10))) or data[place : place + 2] == b"\2\0"
    ):  # the latter cannot be followed: the parser says so
        return data if start == 132 else _PREAMBLE + data[start:]
    return _PREAMBLE + _group(data, start, syntax) + data[place:]


def _group(data: bytes, start: int, syntax: str) -> bytes:
    """The file meta group of `data`, with the transfer syntax in its place and the length that it then has."""
    group = takewhile(lambda element: element.tag[0] == 2, _walk(data, start, EXPLICIT))
    parts = {element.tag: data[element.place : _end(data, element)] for element in group}
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    parts[2, 0x10] = struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
    parts.pop((2, 0), None)
    content = b"".join(parts[tag] for tag in sorted(parts))
    return struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(content)) + content


def _start(head: bytes) -> int | None:
    """Where the elements begin, None where it is no DICOM file."""
    if head[128:132] == b"DICM":
        return 132
    if head[:4] == b"DICM":
        return 4
    # Without the four letters two elements in a row must be of the groups that a file begins with.
    if head[:2] not in (b"\2\0", b"\x08\0", b"\0\x08"):
        return None
    elements = []
    for element in _walk(head, 0, EXPLICIT if head[:2] == b"\2\0" else _guess(head, 0)):
        elements.append(element.tag)
        if len(elements) == 2:
            break
    low, high = (2, 8) if head[:2] == b"\2\0" else (8, 8)
    sound = len(elements) == 2 and elements[0] < elements[1] and all(low <= tag[0] <= high for tag in elements)
    return 0 if sound else None


def _meta(head: bytes, start: int) -> tuple[dict[tuple[int, int], bytes], int, str]:
    """The file meta group, where the data set begins, and its transfer syntax."""
    meta: dict[tuple[int, int], bytes] = {}
    place = start
    for element in _walk(head, start, EXPLICIT):
        if element.tag[0] != 2:
            break
        meta[element.tag] = element.value
        place = _end(head, element)
    return meta, place, _text(meta.get((2, 0x10))) or _guess(head, place)


def _end(head: bytes, element: _Element) -> int:
    """Where an element with a value representation ends."""
    vr = head[element.place + 4 : element.place + 6]
    return element.place + (12 if vr in _LONG else 8) + len(element.value)


def _guess(head: bytes, place: int) -> str:
    """The transfer syntax of a data set that says none: by the order of its first tag and by a value representation."""
    if head[place : place + 2] == b"\0\x08":
        return BIG_ENDIAN
    return EXPLICIT if head[place + 4 : place + 6] in _SHORT | _LONG else IMPLICIT


def _walk(head: bytes, place: int, syntax: str) -> Iterator[_Element]:
    """The elements from `place`, as long as they can be followed; sequences of undefined length cannot."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    while place + 12 <= len(head):
        tag = struct.unpack_from(f"{order}HH", head, place)
        if syntax == IMPLICIT:
            (length,) = struct.unpack_from("<L", head, place + 4)
            first = place + 8
        else:
            vr = head[place + 4 : place + 6]
            if vr in _LONG:
                (length,) = struct.unpack_from(f"{order}L", head, place + 8)
                first = place + 12
            elif vr in _SHORT:
                (length,) = struct.unpack_from(f"{order}H", head, place + 6)
                first = place + 8
            else:
                return
        if first + length > len(head):
            return
        yield _Element(tag, head[first : first + length], place)
        place = first + length


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip(" \0")
