"""One decoder a transfer syntax, chosen by name: what else is installed never changes a pixel.

JPEG (8 bit) by OpenCV, about 2 ms a megapixel; JPEG 2000 by Pillow (OpenJPEG); uncompressed by pydicom; RLE here, as
other decoders let a small file grow without bound; JPEG-LS, JPEG Lossless and 12-bit JPEG by imagecodecs (CharLS,
libjpeg-turbo), which is an extra. What a compressed frame says of its own size is read before any decoder sees it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pneumonia.rejection import Reason, StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

_NATIVE = {
    "1.2.840.10008.1.2": "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
}
_RLE = {"1.2.840.10008.1.2.5": "RLE Lossless"}
_JPEG = {
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless (Process 14)",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless (Process 14, selection value 1)",
}
_JPEG_LS = {"1.2.840.10008.1.2.4.80": "JPEG-LS Lossless", "1.2.840.10008.1.2.4.81": "JPEG-LS Near-Lossless"}
_JPEG_2000 = {"1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless", "1.2.840.10008.1.2.4.91": "JPEG 2000"}
TRANSFER_SYNTAXES = _NATIVE | _RLE | _JPEG | _JPEG_LS | _JPEG_2000

# Markers of a JPEG frame header (ITU T.81, table B.1): DCT baseline, extended, progressive; lossless; JPEG-LS (T.87).
_DCT, _LOSSLESS, _LS = {0xC0, 0xC1, 0xC2}, {0xC3}, {0xF7}
_BARE = {0x01, *range(0xD0, 0xDA)}  # markers that no length follows
MAX_SCANS = 32  # a grey image has one, or about ten where it is progressive; each one costs a pass over the image


class MissingDecoderError(StudyError):
    """A sound file in a compression whose decoder is not installed: a fault of the installation, not of the study."""

    def __init__(self, compression: str) -> None:
        super().__init__(
            Reason.UNREADABLE,
            f"{compression} needs a decoder that is not installed: pip install -e '.[dicom]' in the project",
        )
        self.compression = compression

    def __reduce__(self) -> tuple[type[StudyError], tuple[str]]:  # type: ignore[override]
        return MissingDecoderError, (self.compression,)


class _Frame(NamedTuple):
    marker: int
    precision: int  # bits
    rows: int
    columns: int
    components: int


def decode(dataset: Dataset, transfer_syntax: str) -> tuple[np.ndarray, str]:
    """Stored values `[rows, columns]` of a one-frame greyscale data set, in an integer type, and the decoder's name.

    Bits above the stored ones are cleared, or filled with the sign. Raises StudyError (unreadable) where the compressed
    frame contradicts the header or is cut short, and whatever the decoder raises where it is damaged.
    """
    values, decoder = _decode(dataset, transfer_syntax)
    if values.shape != (dataset.Rows, dataset.Columns):  # such as several frames in a file that says it has one
        raise StudyError(
            Reason.UNREADABLE,
            f"pixels have shape {values.shape}, the header says {dataset.Rows}x{dataset.Columns}",
        )
    shifted = transfer_syntax in _NATIVE | _RLE
    return _align(values, dataset, shifted=shifted), decoder


def _decode(dataset: Dataset, transfer_syntax: str) -> tuple[np.ndarray, str]:
    name = TRANSFER_SYNTAXES[transfer_syntax]
    if transfer_syntax in _NATIVE:
        return _with_pydicom(dataset, transfer_syntax, ""), "pydicom"
    frame = _encapsulated(dataset)
    if transfer_syntax in _RLE:
        return _run_lengths(frame, dataset), "rle"
    if transfer_syntax in _JPEG_2000:
        _check_jpeg_2000(frame, dataset)
        return _with_pydicom(dataset, transfer_syntax, "pillow"), "pillow-openjpeg"
    head = _frame_header(frame)
    _expect(head.rows, head.columns, head.components, dataset)
    if frame.rfind(b"\xff\xd9", max(0, len(frame) - 256)) < 0:
        raise StudyError(Reason.UNREADABLE, f"{name} frame is cut short: its end marker is missing")
    if frame.count(b"\xff\xda") > MAX_SCANS:  # a start of scan: compressed data cannot hold these two bytes
        raise StudyError(Reason.UNREADABLE, f"{name} frame of more than {MAX_SCANS} scans")
    if transfer_syntax in _JPEG_LS:
        return _with_imagecodecs(frame, name, head.marker in _LS, "jpegls")
    if head.marker in _DCT and head.precision == 8:
        return _with_opencv(frame), "opencv"
    return _with_imagecodecs(frame, name, head.marker in _DCT | _LOSSLESS, "jpeg8")


def _with_opencv(frame: bytes) -> np.ndarray:
    import cv2

    # Orientation is EXIF's, which has no meaning in DICOM.
    values = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None:
        raise StudyError(Reason.UNREADABLE, "damaged JPEG frame")
    return np.asarray(values)


def _with_pydicom(dataset: Dataset, transfer_syntax: str, plugin: str) -> np.ndarray:
    from pydicom.pixels import get_decoder

    values, _ = get_decoder(transfer_syntax).as_array(
        dataset,
        raw=True,
        decoding_plugin=plugin,
        correct_unused_bits=False,  # type: ignore[arg-type]
    )
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _with_imagecodecs(frame: bytes, name: str, right: bool, codec: str) -> tuple[np.ndarray, str]:
    if not right:
        raise StudyError(Reason.UNREADABLE, f"the frame is compressed otherwise than its transfer syntax says ({name})")
    try:
        import imagecodecs
    except ImportError as error:
        raise MissingDecoderError(name) from error
    return getattr(imagecodecs, f"{codec}_decode")(frame), f"imagecodecs-{codec}"


def _encapsulated(dataset: Dataset) -> bytes:
    from pydicom.encaps import get_frame

    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def _frame_header(frame: bytes) -> _Frame:
    """The frame header (SOF) of a JPEG or JPEG-LS stream, without decoding it (ITU T.81, B.2.2)."""
    position = 2
    if frame[:2] != b"\xff\xd8":
        raise StudyError(Reason.UNREADABLE, "the frame is no JPEG stream")
    while position + 10 <= len(frame):
        if frame[position] != 0xFF:
            break
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in _BARE:
            break
        if marker in _LS or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return _Frame(marker, precision, rows, columns, components)
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    raise StudyError(Reason.UNREADABLE, "the JPEG stream has no frame header")


def _check_jpeg_2000(frame: bytes, dataset: Dataset) -> None:
    """Compare the code stream's size with the header's (ISO 15444-1, A.5.1); boxes around it (I.4) may say otherwise."""
    start = 0
    if frame[4:8] == b"jP  ":  # the JP2 file format, which DICOM does not allow but archives hold
        while frame[start + 4 : start + 8] != b"jp2c":
            length = int.from_bytes(frame[start : start + 4], "big")
            start += length
            if length < 8 or start + 8 > len(frame):
                raise StudyError(Reason.UNREADABLE, "the JP2 frame holds no code stream")
        start += 16 if frame[start : start + 4] == b"\0\0\0\1" else 8
    if frame[start : start + 4] != b"\xff\x4f\xff\x51" or len(frame) < start + 42:
        raise StudyError(Reason.UNREADABLE, "the frame is no JPEG 2000 stream")
    right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    _expect(bottom - top, right - left, components, dataset)


def _expect(rows: int, columns: int, components: int, dataset: Dataset) -> None:
    if components != 1:
        raise StudyError(Reason.COLOUR, f"the compressed frame has {components} components")
    if (rows, columns) != (dataset.Rows, dataset.Columns):
        said = f"the header says {dataset.Rows}x{dataset.Columns}"
        raise StudyError(Reason.UNREADABLE, f"the compressed frame is {rows}x{columns}, {said}")


def _run_lengths(frame: bytes, dataset: Dataset) -> np.ndarray:
    """Stored values of an RLE frame: a plane for each byte of a value, the highest first (PS3.5, annex G)."""
    rows, columns, width = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated) // 8
    count, *starts = struct.unpack_from("<16L", frame)
    if count != width:
        raise StudyError(Reason.UNREADABLE, f"RLE frame of {count} planes; wanted {width}, one for each byte")
    values = np.empty((rows * columns, width), np.uint8)
    for plane, (start, end) in enumerate(zip(starts, [*starts[1:width], len(frame)], strict=False)):
        if plane == width:
            break
        values[:, width - 1 - plane] = np.frombuffer(_unpack(frame[start:end], rows * columns), np.uint8)
    return values.view(f"<u{width}").reshape(rows, columns)


def _unpack(packed: bytes, size: int) -> bytearray:
    """`size` bytes of a plane that is packed by PS3.5, annex G.3.2; more than that are padding."""
    plane = bytearray()
    position = 0
    while len(plane) < size:
        if position + 1 >= len(packed):
            raise StudyError(Reason.UNREADABLE, f"RLE plane is cut short: {len(plane):,} bytes, wanted {size:,}")
        head = packed[position]
        if head < 128:
            plane += packed[position + 1 : position + 2 + head]
            position += 2 + head
        else:  # 128 alone means nothing
            plane += packed[position + 1 : position + 2] * (257 - head if head > 128 else 0)
            position += 2 if head > 128 else 1
    return plane[:size]


def _align(values: np.ndarray, dataset: Dataset, *, shifted: bool) -> np.ndarray:
    """Keep the stored bits only, moved to the bottom, with the sign that Pixel Representation gives (PS3.5, 8.1.1).

    shifted: the stored bits end at High Bit, as in data that is not JPEG-compressed.
    """
    stored, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation") or 0) == 1
    width = 8 * values.dtype.itemsize
    shift = int(dataset.get("HighBit", stored - 1)) + 1 - stored if shifted else 0
    if shift < 0 or shift + stored > max(width, stored):
        raise StudyError(Reason.UNREADABLE, f"high bit {shift + stored - 1} does not fit {stored} stored bits")
    if (values.dtype.kind == "i") == signed and (
        stored >= width or (not signed and not shift and values.max() < 2**stored)
    ):
        return values
    size = 1 if stored <= 8 else 2 if stored <= 16 else 4
    # Left to the top of the type, which drops what stands above, then back, which fills in zeros or the sign.
    room = max(width, 8 * size)
    bits = values.view(f"u{width // 8}").astype(f"u{room // 8}") << np.uint8(room - stored - shift)
    return (bits.view(f"{'i' if signed else 'u'}{room // 8}") >> np.uint8(room - stored)).astype(
        f"{'i' if signed else 'u'}{size}"
    )
