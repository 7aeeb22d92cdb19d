"""multipart/related as it arrives (RFC 2046, 5.1): memory holds a piece of a part, never a part."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from enum import Enum, auto

MAX_HEAD_BYTES = 8192  # of a part


class Mark(Enum):
    """What `Splitter.feed` gives beside pieces of content."""

    BEGIN = auto()  # of a part
    END = auto()  # of it


class _State(Enum):
    BEFORE = auto()  # what precedes the first part
    DELIMITER = auto()
    HEAD = auto()
    CONTENT = auto()
    AFTER = auto()


def boundary(content_type: str) -> str:
    """The boundary of a `Content-Type` of parts that are application/dicom.

    Raises:
        ValueError: it is of another type, or has no boundary.
    """
    head = Message()
    head["Content-Type"] = content_type
    kind = str(head.get_param("type", "application/dicom")).lower()
    if head.get_content_type() != "multipart/related" or kind != "application/dicom":
        raise ValueError('wanted multipart/related; type="application/dicom"')
    found = str(head.get_param("boundary", "")).rstrip(" ")
    if not 0 < len(found) <= 70 or not found.isascii():
        raise ValueError("multipart/related needs a boundary of 1 to 70 characters")
    return found


class Splitter:
    """Takes bytes in pieces of any size.

    Example: with the boundary `x`, `--x\\r\\n\\r\\nAB\\r\\n--x--` gives BEGIN, `AB`, END.
    """

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._rest, self._state = bytearray(b"\r\n"), _State.BEFORE  # the first delimiter may lack its line break

    def feed(self, data: bytes) -> Iterator[Mark | bytes]:
        """Marks and pieces of content, as far as they are certain.

        Raises:
            ValueError: this is no such message.
        """
        self._rest += data
        while True:
            if self._state in (_State.BEFORE, _State.CONTENT):
                place = self._rest.find(self._delimiter)
                certain = place if place >= 0 else max(0, len(self._rest) - len(self._delimiter) + 1)
                if self._state is _State.CONTENT and certain:
                    yield bytes(self._rest[:certain])
                if place < 0:
                    del self._rest[:certain]
                    return
                del self._rest[: place + len(self._delimiter)]
                if self._state is _State.CONTENT:
                    yield Mark.END
                self._state = _State.DELIMITER
            elif self._state is _State.DELIMITER:
                if self._rest[:2] == b"--":
                    self._state = _State.AFTER
                    continue
                line = self._line(b"\r\n")
                if line is None:
                    return
                if line.strip(b" \t"):
                    raise ValueError("a boundary that goes on")
                self._rest[:0] = b"\r\n"  # also the break before the empty line that ends the head
                self._state = _State.HEAD
            elif self._state is _State.HEAD:
                if self._line(b"\r\n\r\n") is None:
                    return
                yield Mark.BEGIN
                self._state = _State.CONTENT
            else:
                self._rest.clear()
                return

    def end(self) -> None:
        """Say that there is no more.

        Raises:
            ValueError: the last boundary has not come.
        """
        if self._state is not _State.AFTER:
            raise ValueError("it ends before its last boundary")

    def _line(self, end: bytes) -> bytes | None:
        place = self._rest.find(end)
        if place < 0 or place > MAX_HEAD_BYTES:
            if len(self._rest) > MAX_HEAD_BYTES:
                raise ValueError(f"the head of a part has more than {MAX_HEAD_BYTES:,} bytes")
            return None
        found = bytes(self._rest[:place])
        del self._rest[: place + len(end)]
        return found
