"""Parts come out whole however the bytes come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette")

from pneumonia.reading_room.node.web.multipart import MAX_HEAD_BYTES, Mark, Splitter, boundary

TYPE = 'multipart/related; type="application/dicom"; boundary='


def parts(pieces: list[bytes], name: str = "x") -> list[bytes]:
    splitter, found = Splitter(name), list[bytes]()
    ended = 0
    for piece in pieces:
        for part in splitter.feed(piece):
            if part is Mark.BEGIN:
                found.append(b"")
            elif part is Mark.END:
                ended += 1
            else:
                found[-1] += part
    splitter.end()
    assert ended == len(found)
    return found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"--x\r\n\r\nAB\r\n--x--", [b"AB"]),
        (b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\nAB\r\n--x--\r\n", [b"AB"]),
        (b"before\r\n--x \t\r\nA: b\r\nC: d\r\n\r\nAB\r\n--x\r\n\r\n\r\nC\r\n--x--after", [b"AB", b"\r\nC"]),
        (b"--x\r\n\r\n\r\n--x--", [b""]),
        (b"--x--", []),
    ],
)
def test_messages_worked_out_by_hand(message: bytes, expected: list[bytes]):
    assert parts([message]) == expected
    assert parts([bytes([byte]) for byte in message]) == expected


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 40), min_size=1))
def test_any_parts_in_any_pieces(contents: list[bytes], lengths: list[int]):
    name = "0f3cf5c0-70e0-41ef"
    message = b"".join(b"\r\n--%s\r\nContent-Type: a/b\r\n\r\n%s" % (name.encode(), own) for own in contents)
    message += f"\r\n--{name}--".encode()
    pieces, place = [], 0
    while place < len(message):
        length = lengths[len(pieces) % len(lengths)]
        pieces.append(message[place : place + length])
        place += length
    assert parts(pieces, name) == contents


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"--x\r\n\r\nAB", "ends before its last boundary"),
        (b"", "ends before its last boundary"),
        (b"--xy\r\n\r\nAB\r\n--x--", "a boundary that goes on"),
        (b"--x\r\n" + b"A" * (MAX_HEAD_BYTES + 5), "more than 8,192 bytes"),
        (b"--x" + b" " * (MAX_HEAD_BYTES + 5), "more than 8,192 bytes"),
    ],
)
def test_what_is_no_message_is_said(message: bytes, said: str):
    with pytest.raises(ValueError, match=said):
        parts([message])


def test_memory_holds_no_part():
    splitter = Splitter("x")
    assert list(splitter.feed(b"--x\r\n\r\n")) == [Mark.BEGIN]
    for _ in range(100):
        assert sum(map(len, splitter.feed(b"\0" * 100_000))) >= 99_990
    assert len(splitter._rest) < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TYPE + '"a b"', "a b"),
        (TYPE + "ab", "ab"),
        ("multipart/related;boundary=ab", "ab"),
        ("Multipart/Related; TYPE=Application/DICOM; boundary=ab", "ab"),
    ],
)
def test_a_boundary(text: str, expected: str):
    assert boundary(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        TYPE,
        TYPE + "a" * 71,
        "multipart/form-data; boundary=ab",
        'multipart/related; type="image/jpeg"; boundary=ab',
        TYPE + '"ä"',
    ],
)
def test_no_boundary(text: str):
    with pytest.raises(ValueError, match=r"wanted multipart/related|needs a boundary"):
        boundary(text)
