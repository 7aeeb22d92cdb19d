"""A slice of `python -m benchmarks.fuzz`: whatever a file or an archive says, it is used or listed with a reason."""

import struct
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from tests import hostile

from pneumonia import archive as archives
from pneumonia.archive import StudyArchive
from pneumonia.data.clean import read_images
from pneumonia.data.images.squares import resize_study
from pneumonia.dicom import parsing
from pneumonia.dicom.study import read_pixels
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.rejection import StudyError

WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5]}


def test_damaged_files_are_used_or_rejected_with_a_reason(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_STEPS", 5000)  # the same bounds, reached sooner
    monkeypatch.setattr(parsing, "MAX_INFLATED_BYTES", 2**22)
    outcomes = Counter()
    for kind, data in hostile.mutants(seed=5, count=6 * len(hostile.KINDS)):
        try:
            seen = study_to_uint8(data, **WINDOW)
        except StudyError:  # and nothing else
            outcomes[kind, "rejected"] += 1
        else:
            assert seen.image.shape == (seen.header.rows, seen.header.columns)
            assert resize_study(seen.image, 64, seen.header.aspect).shape == (64, 64)
            outcomes[kind, "used"] += 1
    assert outcomes["noise", "rejected"] == outcomes["truncated", "rejected"] == outcomes["bomb", "rejected"] == 6
    assert outcomes["flipped bits", "used"] > 1  # most bits are pixels or names
    assert outcomes["deep sequences", "used"] > 0


def test_an_archive_that_attacks_who_unpacks_it(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_STUDY_BYTES", 20 * 2**20)
    sound = hostile.study(np.random.default_rng(0), hostile.ExplicitVRLittleEndian, 255)
    folder = tmp_path / "raw"
    folder.mkdir()
    attacks = hostile.write_hostile_zip(folder / "images.zip", {"good": sound, "cut": sound[:-9]}, seed=0, megabytes=1)
    images, rejected = read_images(StudyArchive(folder / "images.zip"), WINDOW, workers=1)
    assert [image.study for image in images] == ["good"]
    assert {item.study for item in rejected} == attacks | {"cut"}
    reasons = {item.study: (str(item.reason), item.detail) for item in rejected}
    assert reasons["../x.dcm"] == ("unsafe_name", "climbs out of the archive with '..'")
    assert reasons["/tmp/pneumonia-x.dcm"] == ("unsafe_name", "has an absolute name")
    assert reasons["linked.dcm"] == ("unsafe_name", "is a symbolic link")
    assert reasons["twice"] == ("duplicate_id", "2 files: a/twice.dcm, b/twice.dcm")
    assert reasons["overgrown"] == ("unreadable", f"{132 + 51 * 2**20:,} bytes; at most 20,971,520 are read")
    assert (
        reasons["encrypted"][0] == reasons["method"][0] == reasons["damaged"][0] == reasons["liar"][0] == "unreadable"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["raw", "images.zip"]


def rejected(data):
    """Why the file is rejected, and the most memory that Python held meanwhile, in MB."""
    tracemalloc.start()
    try:
        with pytest.raises(StudyError) as caught:
            study_to_uint8(data, **WINDOW)
        return caught.value.detail, tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def file(*, syntax=hostile.ExplicitVRLittleEndian, **elements):
    return hostile.study(np.random.default_rng(1), syntax, 255, **elements)


def insert(elements, data=None):
    data = file() if data is None else data
    place = data.index(hostile.PIXELS)
    return data[:place] + elements + data[place:]


def with_frame(frame, syntax):
    data = file(syntax=syntax)
    place = data.index(hostile.PIXELS)
    return (
        data[:place]
        + hostile.PIXELS
        + b"OB\0\0"
        + hostile.UNKNOWN
        + encapsulate([frame])
        + hostile.SEQUENCE_END
        + bytes(4)
    )


class TestBounds:
    def test_a_hundred_thousand_items(self, monkeypatch):
        monkeypatch.setattr(parsing, "MAX_STEPS", 1000)
        items = (hostile.ITEM + bytes(4)) * 100_000
        end = hostile.SEQUENCE_END + bytes(4)
        why, megabytes = rejected(insert(b"\x09\0\x10\x10SQ\0\0" + hostile.UNKNOWN + items + end))
        assert why == "its header takes more than 1,000 steps to read"
        assert megabytes < 10

    def test_a_sequence_of_given_length(self):
        items = (hostile.ITEM + bytes(4)) * 1001
        why, _ = rejected(insert(b"\x28\0\x10\x30SQ\0\0" + struct.pack("<L", len(items)) + items))
        assert why == "element (0028,3010) has 1,001 items; wanted at most 1,000"

    def test_a_million_windows(self):
        value = b"1\\" * 1_000_000
        data = file(syntax=hostile.ImplicitVRLittleEndian)
        why, megabytes = rejected(insert(b"\x28\0\x50\x10" + struct.pack("<L", len(value)) + value, data))
        assert why == "element (0028,1050) has 2,000,000 bytes; wanted at most 65,536"
        assert megabytes < 20

    def test_runs_that_unpack_to_far_more_than_the_image(self):
        # 4 MB of runs of 128 zeros would unpack to 256 MB; the image has some thousand pixels.
        frame = struct.pack("<16L", 1, 64, *[0] * 14) + b"\0\1" + b"\x81\0" * 2_000_000
        data = with_frame(frame, hostile.RLELossless)
        tracemalloc.start()
        values = read_pixels(data).values
        megabytes = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        assert values.sum() == values[0, 0] == 1
        assert megabytes < 30

    def test_thousands_of_scans(self):
        data = file(syntax=hostile.JPEGBaseline8Bit)
        place = data.index(b"\xff\xda")
        frame = data[data.index(b"\xff\xd8\xff") : place] + b"\xff\xda\0\x08\x01\x01\0\0\0\0" * 40 + b"\xff\xd9"
        why, _ = rejected(with_frame(frame, hostile.JPEGBaseline8Bit))
        assert why == "JPEG Baseline frame of more than 32 scans"

    def test_a_frame_size_hidden_behind_a_marker_without_length(self):
        data = file(syntax=hostile.JPEGBaseline8Bit)
        place = data.index(b"\xff\xc0")
        why, _ = rejected(data[:place] + b"\xff\xd0" + data[place : place + 5] + b"\xff" * 4 + data[place + 9 :])
        assert why == "the JPEG stream has no frame header"

    def test_a_code_stream_larger_than_its_header(self):
        data = file(syntax=hostile.JPEG2000Lossless)
        place = data.index(b"\xff\x4f\xff\x51") + 8
        why, _ = rejected(data[:place] + struct.pack(">2L", 60_000, 60_000) + data[place + 8 :])
        assert why.startswith("the compressed frame is 60000x60000, the header says ")

    def test_a_side_that_would_make_a_square_of_gigabytes(self):
        rows = file(Rows=65_535, Columns=20)
        assert rejected(rows)[0] == "a side of 65,535 pixels; wanted at most 16,384"

    def test_frames_in_a_file_that_says_it_has_one(self):
        data = file()
        place = data.index(b"\x28\0\x10\0US\2\0") + 8
        rows = int.from_bytes(data[place : place + 2], "little")
        assert rows % 2 == 0
        why, _ = rejected(data[:place] + struct.pack("<H", rows // 2) + data[place + 2 :])
        assert why.startswith("PixelData: found ")
