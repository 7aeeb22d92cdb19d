"""One decoder a transfer syntax, chosen by name: what else is installed never changes a pixel.

JPEG (8 bit) by OpenCV, about 2 ms a megapixel; JPEG 2000 by Pillow (OpenJPEG); uncompressed by pydicom; RLE here, as
other decoders let a small file grow without bound; JPEG-LS, JPEG Lossless and 12-bit JPEG by imagecodecs (CharLS,
libjpeg-turbo), which is an extra. What a compressed frame says of its own size is read before any decoder sees it.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np

from pneumonia.rejection import Reason, StudyError

NATIVE = {
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
_LOSSY = {f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 81, 91)}
TRANSFER_SYNTAXES = NATIVE | _RLE | _JPEG | _JPEG_LS | _JPEG_2000

# Markers of a JPEG frame header (ITU T.81, table B.1): DCT baseline, extended, progressive; lossless; JPEG-LS (T.87).
_DCT, _LOSSLESS, _LS = {0xC0, 0xC1, 0xC2}, {0xC3}, {0xF7}
_PROGRESSIVE = 0xC2
_BARE = {0x01, *range(0xD0, 0xDA)}  # markers that no length follows
OVERSHOOT = 8  # beside an edge a lossy code goes beyond its values, by less than an eighth of their range
_STREAM_HEAD = re.compile(rb"\xff\xd8\xff|\xff\x4f\xff\x51|.{4}jP  ", re.DOTALL)  # JPEG and JPEG-LS, JPEG 2000, JP2
_RLE_HEAD = re.compile(rb"[\1-\x0f]\0{3}\x40\0{3}")  # PS3.5, G.5: up to 15 planes, the first after 64 bytes
_MORE = bytes(range(1, 255))  # as if data went on
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


class Layout(NamedTuple):
    """What the header says of the pixels of its one frame of grey."""

    rows: int
    columns: int
    allocated: int  # bits: 8, 16 or 32
    stored: int  # bits
    high_bit: int
    signed: bool


class Decoded(NamedTuple):
    """Stored values `[rows, columns]` in an integer type, the decoder's name, and what was mended, in sentences."""

    values: np.ndarray
    decoder: str
    notes: tuple[str, ...]


class _Frame(NamedTuple):
    marker: int
    precision: int  # bits
    rows: int
    columns: int
    components: int


class _Stream(NamedTuple):
    """Values of a code stream, and what it says of them itself."""

    values: np.ndarray
    decoder: str
    precision: int  # bits
    signed: bool | None  # None where the format knows no sign
    lossy: bool = False


def decode(pixel_data: bytes, vr: str, layout: Layout, transfer_syntax: str) -> Decoded:
    """Stored values of a one-frame greyscale image.

    Bits above the stored ones are cleared, or filled with the sign. A code stream describes itself: where the header
    says otherwise, its values are taken as they are if the header can hold them.

    Arguments:
        pixel_data: value of the element, `vr` its value representation.
        layout: what the header says.
        transfer_syntax: one of `TRANSFER_SYNTAXES`.

    Raises:
        StudyError: unreadable, where the frame contradicts the header or is cut short; colour. And whatever the decoder
            raises where the frame is damaged.
    """
    if transfer_syntax in NATIVE:
        values, notes = _native(pixel_data, vr, layout, transfer_syntax)
        aligned, more = _align(values, layout)
        return Decoded(aligned, "pydicom", notes + more)
    frame = _encapsulated(pixel_data, _RLE_HEAD if transfer_syntax in _RLE else _STREAM_HEAD)
    if transfer_syntax in _RLE:
        aligned, notes = _align(_run_lengths(frame, layout), layout)
        return Decoded(aligned, "rle", notes)
    stream = _decode(frame, layout, transfer_syntax)._replace(lossy=transfer_syntax in _LOSSY)
    if stream.values.shape != (layout.rows, layout.columns):
        said = f"Rows and Columns: found {layout.rows}x{layout.columns}"
        raise StudyError(Reason.UNREADABLE, f"{said}; wanted {stream.values.shape}, as the frame is decoded")
    mended: list[str] = []
    if layout.high_bit != layout.stored - 1:
        mended.append(
            f"HighBit is {layout.high_bit}, BitsStored {layout.stored}: a compressed frame has no other bits."
        )
    if stream.precision != layout.stored:
        mended.append(
            f"The compressed frame has {stream.precision} bits, BitsStored says {layout.stored}: values are the frame's."
        )
    return Decoded(_fit(stream, layout, mended), stream.decoder, tuple(mended))


def _decode(frame: bytes, layout: Layout, transfer_syntax: str) -> _Stream:
    name = TRANSFER_SYNTAXES[transfer_syntax]
    if transfer_syntax in _JPEG_2000:
        return _jpeg_2000(frame, layout)
    head = _frame_header(frame)
    _expect(head.rows, head.columns, head.components, layout)
    if not frame.rstrip(b"\0")[-256:].count(b"\xff\xd9"):
        raise StudyError(Reason.UNREADABLE, f"{name} frame is cut short: its end marker is missing")
    if frame.count(b"\xff\xda") > MAX_SCANS:  # a start of scan: compressed data cannot hold these two bytes
        raise StudyError(Reason.UNREADABLE, f"{name} frame of more than {MAX_SCANS} scans")
    if transfer_syntax in _JPEG_LS:
        values, decoder = _with_imagecodecs(frame, name, head.marker in _LS, "jpegls")
    elif head.marker in _DCT and head.precision == 8:
        values, decoder = _with_opencv(frame), "opencv"
        _require_whole(frame, name, values, head, _with_pillow)
    else:
        right = head.marker in _DCT | _LOSSLESS
        values, decoder = _with_imagecodecs(frame, name, right, "jpeg8")
        _require_whole(frame, name, values, head, lambda other: _with_imagecodecs(other, name, right, "jpeg8")[0])
    return _Stream(values, decoder, head.precision, None)


def _require_whole(
    frame: bytes, name: str, values: np.ndarray, head: _Frame, decode: Callable[[bytes], np.ndarray]
) -> None:
    """Refuse a JPEG frame whose data end before its image does: libjpeg paints the rest in the middle grey, and goes on.

    Where the last pixel has that grey, or may have got a rough value from an earlier scan, the frame is decoded as it is and
    with other bytes before its end marker. They change nothing where the data were complete.

    Arguments:
        decode: says nothing of those bytes on the terminal.
    """
    if values[-1, -1] != 1 << (head.precision - 1) and head.marker != _PROGRESSIVE:
        return
    end = frame.rindex(b"\xff\xd9")
    if not np.array_equal(decode(frame[:end] + _MORE + frame[end:]), decode(frame)):
        raise StudyError(Reason.UNREADABLE, f"{name} frame is cut short: its data end before the image does")


def _with_pillow(frame: bytes) -> np.ndarray:
    """As `_with_opencv` but for its warnings, and perhaps a grey level; that where Pillow cannot read the frame."""
    from PIL import Image

    try:
        return np.asarray(Image.open(io.BytesIO(frame), formats=("JPEG",)))
    except (OSError, SyntaxError, ValueError):
        return _with_opencv(frame)


def _with_opencv(frame: bytes) -> np.ndarray:
    import cv2

    # Orientation is EXIF's, which has no meaning in DICOM.
    values = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None:
        raise StudyError(Reason.UNREADABLE, "damaged JPEG frame")
    return np.asarray(values)


def _native(pixel_data: bytes, vr: str, layout: Layout, transfer_syntax: str) -> tuple[np.ndarray, tuple[str, ...]]:
    from pydicom.pixels import get_decoder

    wanted = layout.rows * layout.columns * layout.allocated // 8
    if len(pixel_data) < wanted or len(pixel_data) >= 2 * wanted > 2:
        size = f"{layout.rows}x{layout.columns} pixels of {layout.allocated} bits"
        raise StudyError(Reason.UNREADABLE, f"PixelData: found {len(pixel_data):,} bytes; wanted {wanted:,} for {size}")
    notes: tuple[str, ...] = ()
    if len(pixel_data) > wanted + wanted % 2:
        notes = ("PixelData is longer than the image: what follows the image is left out.",)
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_keyword": "PixelData",
        "pixel_vr": vr,
        "correct_unused_bits": False,
    }
    own = pixel_data[: wanted + wanted % 2]
    values, _ = get_decoder(transfer_syntax).as_array(own, raw=True, **options)
    return values.astype(values.dtype.newbyteorder("="), copy=False), notes


def _with_imagecodecs(frame: bytes, name: str, right: bool, codec: str) -> tuple[np.ndarray, str]:
    if not right:
        raise StudyError(Reason.UNREADABLE, f"the frame is compressed otherwise than its transfer syntax says ({name})")
    try:
        import imagecodecs
    except ImportError as error:
        raise MissingDecoderError(name) from error
    return getattr(imagecodecs, f"{codec}_decode")(frame), f"imagecodecs-{codec}"


def _encapsulated(pixel_data: bytes, head: re.Pattern[bytes]) -> bytes:
    """The fragments of the one frame, joined; for that the basic offset table is not needed (PS3.5, A.4).

    Arguments:
        pixel_data: value of the element.
        head: how a frame begins.

    Raises:
        StudyError: multiframe, where another frame begins in a later fragment; unreadable, where there is none.
    """
    from pydicom.encaps import generate_fragments

    try:
        fragments = list(generate_fragments(pixel_data))[1:]  # the first is the table
    except ValueError as error:
        raise StudyError(Reason.UNREADABLE, "PixelData: its fragments cannot be followed to their end") from error
    if not fragments:
        raise StudyError(Reason.UNREADABLE, "PixelData: found no fragment; wanted the frame's")
    begun = sum(1 for fragment in fragments if head.match(fragment))
    if begun > 1:
        raise StudyError(Reason.MULTIFRAME, f"PixelData holds {begun} compressed frames; wanted one")
    return b"".join(fragments)


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


def _jpeg_2000(frame: bytes, layout: Layout) -> _Stream:
    """Decode a JPEG 2000 code stream after comparing its own size with the header's (ISO 15444-1, A.5.1).

    Only the code stream is given to the decoder: boxes around it (I.4) may say otherwise.
    """
    from PIL import Image

    start = 0
    if frame[4:8] == b"jP  ":  # the JP2 file format, which DICOM does not allow but archives hold
        while frame[start + 4 : start + 8] != b"jp2c":
            length = int.from_bytes(frame[start : start + 4], "big")
            if frame[start + 4 : start + 8] == b"jp2h" and b"pclr" in frame[start : start + length]:
                raise StudyError(Reason.COLOUR, "the JP2 frame has a palette")
            start += length
            if length < 8 or start + 8 > len(frame):
                raise StudyError(Reason.UNREADABLE, "the JP2 frame holds no code stream")
        start += 16 if frame[start : start + 4] == b"\0\0\0\1" else 8
    if frame[start : start + 4] != b"\xff\x4f\xff\x51" or len(frame) < start + 43:
        raise StudyError(Reason.UNREADABLE, "the frame is no JPEG 2000 stream")
    right, bottom, left, top = struct.unpack_from(">4L", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    _expect(bottom - top, right - left, components, layout)
    signed, precision = bool(frame[start + 42] & 0x80), (frame[start + 42] & 0x7F) + 1  # Ssiz
    if precision > 16:  # the decoder drops what is beyond
        raise StudyError(Reason.UNREADABLE, f"JPEG 2000 frame of {precision} bits; wanted at most 16")
    values = np.array(Image.open(io.BytesIO(frame[start:]), formats=("JPEG2000",)))
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise StudyError(Reason.UNREADABLE, f"JPEG 2000 frame decoded as {values.dtype}; wanted 8 or 16 bits")
    # Pillow moves values to the top of 8 or 16 bits and signed ones to start at 0 (its Jpeg2KDecode.c, j2ku_gray_i).
    values >>= np.uint8(8 * values.itemsize - precision)
    if signed:
        values = values.astype(np.int32) - 2 ** (precision - 1)
    return _Stream(values, "pillow-openjpeg", precision, signed)


def _fit(stream: _Stream, layout: Layout, notes: list[str]) -> np.ndarray:
    """Values of a code stream as the header's stored values: the same numbers, or two's complement where it has no sign."""
    values, bits, stored = stream.values, stream.precision, layout.stored
    if stream.signed is not None and stream.signed != layout.signed:
        if stream.signed and values.min() < 0:  # numbers below 0, or unsigned ones wrapped by the encoder
            raise StudyError(
                Reason.UNREADABLE, "PixelRepresentation: found 0; wanted 1, as the JPEG 2000 frame has values below 0"
            )
        how = "its values are none below 0" if stream.signed else "its values are read as two's complement"
        kind = "signed" if stream.signed else "unsigned"
        notes.append(f"PixelRepresentation is {int(layout.signed)}, the JPEG 2000 frame is {kind}: {how}.")
    if layout.signed and not stream.signed:
        unsigned = values.astype(np.int64)
        values = unsigned - ((unsigned >> (min(bits, stored) - 1) & 1) << min(bits, stored))
        if bits > stored:  # what stands above must be the sign again, or nothing
            low = unsigned & (2**stored - 1)
            values = low - ((low >> (stored - 1)) << stored)
            if not ((unsigned == low).all() or (unsigned == values & (2**bits - 1)).all()):
                _refuse_bits(bits, stored)
        elif bits < stored and values.min() < 0:  # is that the sign, or the number?
            _refuse_bits(bits, stored)
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if layout.signed else (0, 2**stored - 1)
    wide = stream.signed is not None or bits > stored
    if stream.lossy and wide and 0 < max(low - int(values.min()), int(values.max()) - high) <= 2**stored // OVERSHOOT:
        values = np.clip(values, low, high)
        notes.append("The lossy frame goes a little beyond what BitsStored allows, and is cut off there.")
    if wide and not (values.min() >= low and values.max() <= high):
        _refuse_bits(bits, stored)
    size = 1 if stored <= 8 else 2 if stored <= 16 else 4
    return values.astype(f"{'i' if layout.signed else 'u'}{size}", copy=False)


def _refuse_bits(bits: int, stored: int) -> NoReturn:
    raise StudyError(
        Reason.UNREADABLE, f"BitsStored: found {stored}; wanted {bits}, as the compressed frame has values beyond it"
    )


def _expect(rows: int, columns: int, components: int, layout: Layout) -> None:
    if components != 1:
        raise StudyError(Reason.COLOUR, f"the compressed frame has {components} components")
    if (rows, columns) != (layout.rows, layout.columns):
        said = f"the header says {layout.rows}x{layout.columns}"
        raise StudyError(Reason.UNREADABLE, f"the compressed frame is {rows}x{columns}, {said}")


def _run_lengths(frame: bytes, layout: Layout) -> np.ndarray:
    """Stored values of an RLE frame: a plane for each byte of a value, the highest first (PS3.5, annex G)."""
    rows, columns, width = layout.rows, layout.columns, layout.allocated // 8
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


def _align(values: np.ndarray, layout: Layout) -> tuple[np.ndarray, tuple[str, ...]]:
    """Keep the stored bits only, moved to the bottom, with the sign that Pixel Representation gives (PS3.5, 8.1.1).

    Returns:
        The values, and a note where there are other bits, which may be overlays, or values that the header denies.
    """
    stored, signed, shift = layout.stored, layout.signed, layout.high_bit + 1 - layout.stored
    width = 8 * values.dtype.itemsize
    if shift < 0 or shift + stored > width:
        raise StudyError(
            Reason.UNREADABLE, f"HighBit: found {layout.high_bit}; wanted {stored - 1} to {width - 1} of {width} bits"
        )
    size = 1 if stored <= 8 else 2 if stored <= 16 else 4
    if (values.dtype.kind == "i") == signed and (
        stored >= width or (not signed and not shift and values.max() < 2**stored)
    ):
        return values.astype(f"{values.dtype.kind}{size}", copy=False), ()
    # Left to the top of the type, which drops what stands above, then back, which fills in zeros or the sign.
    room = max(width, 8 * size)
    bits = values.view(f"u{width // 8}").astype(f"u{room // 8}") << np.uint8(room - stored - shift)
    aligned = bits.view(f"{'i' if signed else 'u'}{room // 8}") >> np.uint8(room - stored)
    raw, mask = values.view(f"u{width // 8}"), (2**stored - 1) << shift
    extended = signed and not shift and (values.view(f"i{width // 8}") == aligned).all()
    others = not extended and (raw & np.array(~mask & (2**width - 1), raw.dtype)).any()
    notes = ("PixelData has bits outside those of BitsStored and HighBit, which are left out.",) if others else ()
    return aligned.astype(f"{'i' if signed else 'u'}{size}"), notes
