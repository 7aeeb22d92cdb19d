"""Broken and malicious studies, drawn from a seed: for the test of a few seconds and for `python -m benchmarks.fuzz`.

A sound file is made in every encoding, then damaged in one way. Same seed, same bytes (of one version of the encoders).
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
PIXELS = b"\xe0\x7f\x10\x00"
UNKNOWN = b"\xff\xff\xff\xff"  # a length that is not given
Random = np.random.Generator


def study(rng: Random, syntax: str, top: int, **elements: object) -> bytes:
    """A sound study of 20 to 80 pixels a side, with values up to `top`, as a file."""
    rows, columns = (int(side) for side in rng.integers(20, 80, 2))
    picture = cv2.GaussianBlur(rng.integers(0, top + 1, (rows, columns)).astype(np.uint16), (5, 5), 0)
    picture = picture.astype(np.uint8 if top < 256 else np.uint16)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = ComputedRadiographyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3"
    made.Modality, made.ViewPosition, made.PatientSex, made.PatientAge = "CR", "AP", "F", "057Y"
    made.PixelSpacing, made.SamplesPerPixel, made.PhotometricInterpretation = [0.2, 0.2], 1, "MONOCHROME2"
    made.Rows, made.Columns, made.BitsAllocated = rows, columns, 8 * picture.itemsize
    made.BitsStored, made.PixelRepresentation = int(top).bit_length(), 0
    made.HighBit = made.BitsStored - 1
    for name, value in elements.items():
        setattr(made, name, value)
    if syntax == RLELossless:
        made.PixelData = picture.tobytes()
        made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax in ENCODERS:
        made.PixelData = encapsulate([ENCODERS[syntax](picture)])
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        made.PixelData = picture.astype(picture.dtype.newbyteorder(order)).tobytes()
    made["PixelData"].VR = "OB" if syntax in ENCODERS or top < 256 else "OW"
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


def _jpeg_2000(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    return stream.getvalue()


ENCODERS: dict[str, Callable[[np.ndarray], bytes]] = {JPEGBaseline8Bit: _jpeg, JPEG2000Lossless: _jpeg_2000}
try:
    import imagecodecs
except ImportError:  # the extra [dicom]: without it such a file is not read at all
    pass
else:
    ENCODERS[JPEGLSLossless] = lambda picture: bytes(imagecodecs.jpegls_encode(picture))
    ENCODERS[JPEGLosslessSV1] = lambda picture: bytes(imagecodecs.ljpeg_encode(picture))


def lookup_table(entries: int, bits: int) -> list[Dataset]:
    """A LUT sequence of one rising table."""
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [entries, 0, bits], np.linspace(0, 2**bits - 1, entries).astype(int).tolist()
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return [item]


def sound_studies(rng: Random) -> list[bytes]:
    """One file of every encoding, and of what the grey-scale transformations read."""
    files = [study(rng, syntax, 255) for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit)]
    files += [study(rng, syntax, 4095) for syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless)]
    files += [study(rng, syntax, 1023) for syntax in ENCODERS if syntax != JPEGBaseline8Bit]
    files.append(study(rng, ExplicitVRLittleEndian, 4095, WindowCenter=[2000, 1000], WindowWidth=[3000, 500]))
    files.append(study(rng, ExplicitVRLittleEndian, 4095, RescaleSlope=1.5, RescaleIntercept=-1024, RescaleType="HU"))
    files.append(study(rng, ExplicitVRLittleEndian, 1023, VOILUTSequence=lookup_table(1024, 12)))
    files.append(study(rng, ImplicitVRLittleEndian, 1023, ModalityLUTSequence=lookup_table(1024, 12)))
    return files


def mutants(seed: int, count: int, more: list[bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """`count` damaged files as (what was done, file); `more` sound files are damaged beside those made here."""
    rng = np.random.default_rng(seed)
    sound = sound_studies(rng) + (more or [])
    kinds = list(KINDS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        data = sound[int(rng.integers(len(sound)))]
        yield kind, KINDS[kind](rng, data)


def _flip(rng: Random, data: bytes, first: int, last: int) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(first, max(first + 1, min(last, len(data))), int(rng.integers(1, 12))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _pixel_start(data: bytes) -> int:
    """Where the pixel data element begins; near the end where a big-endian or deflated file hides it."""
    return data.find(PIXELS) if PIXELS in data else 2 * len(data) // 3


def _lying_lengths(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(132, _pixel_start(data) + 12))
        value = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0", b"\xfe\xff", b"\x01\0\0\0"][int(rng.integers(5))]
        changed[place : place + len(value)] = value
    return bytes(changed)


def _set(data: bytes, element: bytes, value: int) -> bytes:
    """Give a little-endian US element another value, whichever way its VR is written."""
    place = data.find(element, 132)
    return data if place < 0 else data[: place + 8] + struct.pack("<H", value) + data[place + 10 :]


def _sizes(rng: Random, data: bytes) -> bytes:
    odd = (0, 1, 2, 16_384, 16_385, 32_768, 65_535)
    data = _set(data, b"\x28\0\x10\0", odd[int(rng.integers(len(odd)))])
    return _set(data, b"\x28\0\x11\0", odd[int(rng.integers(len(odd)))]) if rng.random() < 0.8 else data


def _thin(rng: Random, data: bytes) -> bytes:
    """A file that really is as long and thin as it says."""
    side = int(rng.choice([300, 5000, 16_384, 65_534], p=[0.4, 0.4, 0.1, 0.1]))
    high = bool(rng.integers(2))
    made = study(rng, ExplicitVRLittleEndian, 255, PixelSpacing=[float(rng.choice([0.01, 0.1, 0.2, 5])), 0.1])
    start = made.find(PIXELS)
    made = _set(_set(made[:start], b"\x28\0\x10\0", side if high else 2), b"\x28\0\x11\0", 2 if high else side)
    values = rng.integers(0, 256, 2 * side).astype(np.uint8).tobytes()
    return made + PIXELS + b"OB\0\0" + struct.pack("<L", len(values)) + values


def _insert(data: bytes, elements: bytes) -> bytes:
    place = _pixel_start(data)
    return data[:place] + elements + data[place:]


def _deep(rng: Random, data: bytes) -> bytes:
    depth = int(rng.choice([5, 50, 500, 5000], p=[0.3, 0.3, 0.3, 0.1]))
    tag = [b"\x28\0\x10\x30", b"\x08\0\x40\x11", b"\x09\0\x10\x10"][
        int(rng.integers(3))
    ]  # VOI LUT, a known one, private
    if rng.random() < 0.5:
        opened = (tag + b"SQ\0\0" + UNKNOWN + ITEM + UNKNOWN) * depth
        closed = (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * depth
        return _insert(data, opened + (closed if rng.random() < 0.8 else b""))
    inner = b""
    for _ in range(min(depth, 500)):
        inner = tag + b"SQ\0\0" + struct.pack("<L", len(inner) + 8) + ITEM + struct.pack("<L", len(inner)) + inner
    return _insert(data, inner)


def _wide(rng: Random, data: bytes) -> bytes:
    items = (ITEM + bytes(4)) * int(rng.choice([100, 5000, 200_000], p=[0.6, 0.35, 0.05]))
    length = UNKNOWN if rng.random() < 0.5 else struct.pack("<L", len(items))
    end = SEQUENCE_END + bytes(4) if length == UNKNOWN else b""
    return _insert(data, b"\x28\0\x10\x30SQ\0\0" + length + items + end)


def _many_elements(rng: Random, data: bytes) -> bytes:
    numbers = range(int(rng.choice([1000, 60_000], p=[0.8, 0.2])))
    return _insert(data, b"".join(struct.pack("<HH2sH", 0x29, n, b"LO", 0) for n in numbers))


def _long_values(rng: Random, data: bytes) -> bytes:
    """Windows by the hundred thousand, which only an implicit VR has room for."""
    data = study(rng, ImplicitVRLittleEndian, 255)
    value = b"1\\" * int(rng.choice([100, 30_000, 500_000]))
    return _insert(data, b"\x28\0\x50\x10" + struct.pack("<L", len(value)) + value)


def _frame(rng: Random, data: bytes) -> bytes:
    """A JPEG that contradicts the header, or takes thousands of passes."""
    data = study(rng, JPEGBaseline8Bit, 255)
    place = data.find(b"\xff\xc0", data.find(PIXELS))
    choice = int(rng.integers(4))
    if choice == 0:
        return data[: place + 5] + b"\xff\xff\xff\xff" + data[place + 9 :]
    if choice == 1:  # hidden from who takes a restart marker for a segment
        return data[:place] + b"\xff\xd0" + data[place : place + 5] + b"\xff\xff\xff\xff" + data[place + 9 :]
    if choice == 2:
        return data[:place] + b"\xff\xc2" + data[place + 2 : -8] + b"\xff\xda\0\x08\x01\x01\0\0\0\0" * 5000 + data[-8:]
    return _flip(rng, data, place, len(data))


@cache
def _zeros(megabytes: int) -> bytes:
    """So many zeros, deflated."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(deflater.compress(bytes(2**20)) for _ in range(megabytes)) + deflater.flush()


def _bomb(rng: Random, data: bytes) -> bytes:
    """A few kilobytes that inflate to 300 MB, or runs of zeros that unpack to as much."""
    if rng.random() < 0.5:
        whole = study(rng, DeflatedExplicitVRLittleEndian, 255)
        start = 144 + int.from_bytes(whole[140:144], "little")
        return whole[:start] + _zeros(int(rng.choice([1, 300], p=[0.95, 0.05])))
    whole = study(rng, RLELossless, 255)
    start = whole.find(PIXELS)
    frame = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * int(rng.choice([100, 300_000]))
    return whole[:start] + PIXELS + b"OB\0\0" + UNKNOWN + encapsulate([frame]) + SEQUENCE_END + bytes(4)


def _splice(rng: Random, data: bytes) -> bytes:
    first, second = sorted(int(place) for place in rng.integers(132, len(data), 2))
    return data[:second] + data[first:] if rng.random() < 0.5 else data[:first] + data[second:]


KINDS: dict[str, Callable[[Random, bytes], bytes]] = {
    "flipped bits": lambda rng, data: _flip(rng, data, 0, len(data)),
    "flipped header": lambda rng, data: _flip(rng, data, 132, _pixel_start(data) + 200),
    "truncated": lambda rng, data: data[: int(rng.integers(len(data)))],
    "lying lengths": _lying_lengths,
    "rows and columns": _sizes,
    "long and thin": _thin,
    "deep sequences": _deep,
    "wide sequences": _wide,
    "many elements": _many_elements,
    "long values": _long_values,
    "frame": _frame,
    "bomb": _bomb,
    "spliced": _splice,
    "noise": lambda rng, data: data[:132] + rng.bytes(int(rng.integers(2000))),
}


def write_hostile_zip(path: Path, files: dict[str, bytes], seed: int, megabytes: int = 250) -> set[str]:
    """A zip of `files` (id -> content) and of members that attack who unpacks it; returns what these are listed as.

    Two of them inflate to `megabytes` and to 50 more.
    """
    rng = np.random.default_rng(seed)
    sound = study(rng, ExplicitVRLittleEndian, 255)
    odd = [
        "../x.dcm",
        "a/../../x.dcm",
        "/tmp/pneumonia-x.dcm",
        "C:/x.dcm",
        "a\\..\\x.dcm",
        ".dcm",
        "a/twice.dcm",
        "b/twice.dcm",
    ]
    lies = ["liar", "encrypted", "method", "damaged"]
    with zipfile.ZipFile(path, "w") as archive:
        for name in [*(f"images/{study_id}.dcm" for study_id in files), *odd]:
            archive.writestr(zipfile.ZipInfo(name), files.get(Path(name).stem, sound))
        link = zipfile.ZipInfo("linked.dcm")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        for name in lies:
            archive.writestr(zipfile.ZipInfo(f"{name}.dcm"), sound, zipfile.ZIP_DEFLATED)
        for name, size in (("grown", megabytes), ("overgrown", megabytes + 50)):
            archive.writestr(zipfile.ZipInfo(f"{name}.dcm"), sound[:132] + bytes(size * 2**20), zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    # Of an entry in the table of contents (APPNOTE, 4.3.12): the size once inflated, the flags, the method, the CRC.
    values = [(24, struct.pack("<L", 17)), (8, struct.pack("<H", 1)), (10, struct.pack("<H", 99)), (16, b"\0\1\2\3")]
    for name, (offset, value) in zip(lies, values, strict=True):
        entry = data.rfind(f"{name}.dcm".encode()) - 46
        data[entry + offset : entry + offset + len(value)] = value
    path.write_bytes(bytes(data))
    return {*lies, "grown", "overgrown", "linked.dcm", "twice", *(name for name in odd if "twice" not in name)}
