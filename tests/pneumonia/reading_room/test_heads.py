"""The first bytes of a file: DICOM or not, of which image, and what is missing in front."""

from __future__ import annotations

import io
import struct

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from tests.mixed_input import dicomdir, without_meta, without_preamble
from tests.radiographs import chest

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.reading_room.heads import SIZE, Head, complete, look

AUTO = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1}


def written(syntax: str) -> bytes:
    made = dcmread(io.BytesIO(chest()))
    made.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    made["PixelData"].VR = "OW"
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dcmwrite(stream, made, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return stream.getvalue()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_a_file_and_its_image_in_every_encoding(syntax: str):
    data = written(syntax)
    assert look(data[:SIZE]) == Head("1.2.3.4", False)
    assert complete(data) == data
    assert look(without_preamble(data)[:SIZE]) == Head("1.2.3.4", False)
    assert complete(without_preamble(data)) == data


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_data_set_alone_gets_the_syntax_that_it_is_written_in(syntax: str):
    data = without_meta(written(syntax))
    assert data[:2] in (b"\x08\0", b"\0\x08")
    assert look(data[:SIZE]) == Head("1.2.3.4", False)
    made = dcmread(io.BytesIO(complete(data)))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert (made.SOPInstanceUID, made.PatientID, made.Rows) == ("1.2.3.4", "P1", 48)


def meta_group(data: bytes, elements: list[tuple[int, bytes, bytes]]) -> bytes:
    """The file with another file meta group, of numbers, value representations and values; empty where there is none."""
    group = b"".join(
        struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
        if vr == b"OB"
        else struct.pack("<HH2sH", 2, number, vr, len(value)) + value
        for number, vr, value in elements
    )
    return bytes(128) + b"DICM" + group + without_meta(data)


VERSION, CLASS = (1, b"OB", b"\0\1"), (2, b"UI", b"1.2.840.10008.5.1.4.1.1.1\0")
LENGTH, MAKER = (0, b"UL", struct.pack("<L", 5000)), (0x12, b"UI", b"1.2.3.99")
WHO, LONG = (0x16, b"AE", b"SOMEBODY"), (0x102, b"OB", bytes(5000))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    "elements",
    [
        [],
        [CLASS],
        [MAKER],
        [LENGTH, VERSION, CLASS, MAKER, WHO],
        [VERSION, (0x10, b"UI", b"")],
        [VERSION, (0x10, b"UI", b"  "), MAKER],
        [CLASS, LONG],
    ],
)
@pytest.mark.parametrize("cut", [0, 128])
def test_a_meta_group_that_names_no_syntax_gets_the_one_seen(
    syntax: str, elements: list[tuple[int, bytes, bytes]], cut: int
):
    made = meta_group(written(syntax), elements)
    completed = complete(made[cut:])
    assert complete(completed) == completed
    read = dcmread(io.BytesIO(completed))
    assert read.file_meta.TransferSyntaxUID == syntax
    assert (read.SOPInstanceUID, read.PatientID, read.Rows) == ("1.2.3.4", "P1", 48)
    kept = {number: value for number, _, value in elements if number not in (0, 0x10)}
    assert {element.tag.element for element in read.file_meta} == {0, 0x10, *kept}
    assert all(value in completed for value in kept.values())
    assert read.file_meta.FileMetaInformationGroupLength == len(completed) - 144 - len(without_meta(written(syntax)))
    assert study_to_uint8(completed, **AUTO, study="a").image.shape == (48, 64)


def test_four_letters_without_the_128_bytes():
    assert look(chest()[128 : 128 + SIZE]) == Head("1.2.3.4", False)
    assert complete(chest()[128:]) == chest()


def test_an_index_is_known_by_what_it_is():
    assert look(dicomdir()[:SIZE]) == Head("1.2.3.4", True)


@pytest.mark.parametrize("uid", [b"DOE^JOE", b"../../x", b"1.2/3.4", b"       "])
def test_what_is_no_uid_names_nothing(uid: bytes):
    assert look(chest().replace(b"1.2.3.4", uid)[:SIZE]) == Head("", False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\0",
        b"\x08\0" * 200,
        b"a text of some length, which is longer than 132 bytes, " * 8,
        b"\x89PNG\r\n\x1a\n" + bytes(300),
        b"\x02\0" + bytes(300),
        struct.pack("<HHL", 8, 5, 10**9) + bytes(300),
        bytes(4096),
    ],
)
def test_other_files(data: bytes):
    assert look(data) is None
    assert complete(data) == data
