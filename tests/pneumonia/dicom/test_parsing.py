"""Value representations that the standard does not know."""

import struct

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian
from tests.dicom_files import RAMP, dataset, element, encode, jpeg, rejected, with_elements

from pneumonia.dicom.study import read_study


def private(vr, value, head="<HH2sH"):
    return struct.pack(head, 0x29, 0x1010, vr, len(value)) + value


@pytest.mark.parametrize("vr", [b"??", b"  ", b"\0\0", b"--", b"xx", b"ZZ", b"A1"])
@pytest.mark.parametrize("value", [b"", b"\0\0\0\0", b"DOE^JANE", bytes(300)])
def test_a_private_element_is_followed(vr, value):
    # dcm2pnm reads them: a length of 2 bytes (DcmVR::setVR of dcmtk).
    data = with_elements(dataset(WindowCenter=20, WindowWidth=30), private(vr, value))
    header, pixels = read_study(data)
    assert (header.windows, pixels.values.tolist()) == (((20.0, 30.0),), RAMP.tolist())
    # two capitals, and eight zeros, lead on to the next element as they stand: nothing is mended
    note = "An element has no value representation of the standard, and was followed all the same."
    assert pixels.notes == (() if vr == b"ZZ" or (vr, value) == (b"\0\0", b"") else (note,))


def test_a_representation_of_the_future_has_a_length_of_4_bytes():
    # PS3.5, 7.1.2 and 6.2, note.
    item = struct.pack("<HH2sHL", 0x29, 0x1010, b"ZZ", 0, 70_000) + bytes(70_000)
    assert read_study(with_elements(dataset(), item))[1].values.tolist() == RAMP.tolist()


@pytest.mark.parametrize("vr", [b"??", b"  "])
def test_an_element_that_is_used(vr):
    data = with_elements(dataset(), element("WindowCenter", "DS", b"20"), element("WindowWidth", "DS", b"30"))
    data = data.replace(b"\x28\0\x50\x10DS", b"\x28\0\x50\x10" + vr)
    assert read_study(data)[0].windows == ((20.0, 30.0),)


def test_in_a_sequence():
    item = private(b"??", b"abcd")
    sequence = element("VOILUTSequence", "SQ", b"\xfe\xff\0\xe0" + struct.pack("<L", len(item)) + item)
    data = with_elements(dataset(WindowCenter=20, WindowWidth=30), private(b"??", b"abcd"), sequence)
    assert read_study(data)[0].windows == ((20.0, 30.0),)


def test_in_a_big_endian_file():
    data = encode(dataset(syntax=ExplicitVRBigEndian))
    place = data.index(b"\x7f\xe0\0\x10")
    assert (
        read_study(data[:place] + private(b"??", b"abcd", ">HH2sH") + data[place:])[1].values.tolist() == RAMP.tolist()
    )


def test_a_header_that_cannot_be_followed_is_not_called_truncated():
    data = with_elements(dataset(), private(b"??", b"abcd"))
    place = data.index(b"??")
    data = data[: place + 2] + b"\xf0\xff" + data[place + 4 :]
    assert (
        rejected(data) == f"header cannot be followed: no element begins at byte {place - 4:,}, before the pixel data"
    )
    cut = encode(jpeg(RAMP.astype(np.uint8))[0])[:-20]
    assert rejected(cut) == f"truncated: {len(cut):,} bytes, and the pixel data does not end"


@pytest.mark.parametrize("vr", [b"??", b"lo", b"\0\0"])
def test_a_private_element_before_a_large_black_image(vr):
    # Taken for a length of 4 bytes, the representation leads into the pixels, and the parser through thousands of "elements".
    black = np.zeros((2048, 2048), np.uint16)
    black[1000:1010] = 7
    pixels = read_study(with_elements(dataset(black), private(vr, b"abcdef")))[1]
    assert pixels.values.sum() == black.sum()


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("PhotometricInterpretation", "CS", b"MONOCHROME1 "),
        ("WindowCenter", "DS", b"7 "),
        ("BitsStored", "US", b"\x0c\0"),
        ("RescaleIntercept", "DS", b"-1024 "),
    ],
)
def test_an_element_that_stands_twice(keyword, vr, value):
    # dcmtk takes the first, pydicom the last (PS3.5, 7.1: it occurs once).
    twice = element(keyword, vr, value) * 2
    assert rejected(with_elements(dataset(), twice)).startswith(f"{keyword}: found twice; wanted once")


def test_an_enhanced_image():
    item = element("RescaleIntercept", "DS", b"-1024 ")
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    data = with_elements(dataset(), element("SharedFunctionalGroupsSequence", "SQ", item))
    assert rejected(data).startswith("SharedFunctionalGroupsSequence: found an enhanced image")
