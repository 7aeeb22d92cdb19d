"""Code streams that say something else of themselves than the header around them."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, itemize_fragment
from pydicom.uid import (
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)
from tests.dicom_files import RAMP, dataset, encode, rejected

from pneumonia.dicom.study import read_study
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.rejection import StudyError

AUTO = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": (0.5, 99.5)}


def jpeg_2000(values, *, precision, signed, boxes=False):
    """A lossless code stream of `precision` bits, whose values are `values` by what it says of itself (Ssiz, A.5.1).

    Lossless coding works on differences from 2^(precision - 1) where values are unsigned, and from 0 where they are
    signed: so the stream of the unsigned values v + 2^(p - 1), marked as signed, is that of v.
    """
    offset = 2 ** (precision - 1) if signed else 0
    kind, bits = (np.uint8, 8) if precision <= 8 else (np.uint16, 16)
    assert precision == bits  # Pillow encodes these two
    stream = io.BytesIO()
    Image.fromarray((values + offset).astype(kind)).save(stream, "JPEG2000", irreversible=False, no_jp2=not boxes)
    frame = bytearray(stream.getvalue())
    place = frame.index(b"\xff\x4f\xff\x51") + 42
    assert frame[place] == bits - 1
    frame[place] |= 0x80 if signed else 0
    return bytes(frame)


def file(frame, **elements):
    return encode(dataset(RAMP, JPEG2000Lossless, PixelData=encapsulate([frame]), **elements))


class TestSign:
    """What OpenJPEG's opj_decompress and `gdcmconv --raw` give: the numbers of the stream."""

    @pytest.mark.parametrize("boxes", [False, True])
    def test_a_signed_stream_of_unsigned_pixels(self, boxes):
        frame = jpeg_2000(RAMP.astype(int) * 600, precision=16, signed=True, boxes=boxes)
        seen = study_to_uint8(file(frame), **AUTO)
        assert read_study(file(frame))[1].values.tolist() == (RAMP * 600).tolist()
        assert seen.notes == ("PixelRepresentation is 0, the JPEG 2000 frame is signed: its values are none below 0.",)

    def test_below_zero_nobody_knows_what_was_meant(self):
        frame = jpeg_2000(RAMP.astype(int) - 1, precision=16, signed=True)
        assert rejected(file(frame)).startswith("PixelRepresentation: found 0; wanted 1")

    def test_an_unsigned_stream_of_signed_pixels_is_twos_complement(self):
        # pydicom's sign correction and gdcmconv --raw: the bytes are the pixels'.
        wanted = RAMP.astype(int) - 20
        frame = jpeg_2000(wanted % 65536, precision=16, signed=False)
        _, pixels = read_study(file(frame, PixelRepresentation=1))
        assert pixels.values.tolist() == wanted.tolist()
        assert len(pixels.notes) == 1

    def test_a_signed_stream_of_signed_pixels(self):
        wanted = RAMP.astype(int) - 20
        _, pixels = read_study(file(jpeg_2000(wanted, precision=16, signed=True), PixelRepresentation=1))
        assert (pixels.values.tolist(), pixels.notes) == (wanted.tolist(), ())


class TestDepth:
    def test_a_deeper_stream_whose_values_the_header_can_hold(self):
        _, pixels = read_study(file(jpeg_2000(RAMP, precision=16, signed=False), BitsStored=12, HighBit=11))
        assert pixels.values.tolist() == RAMP.tolist()
        assert pixels.notes == ("The compressed frame has 16 bits, BitsStored says 12: values are the frame's.",)

    def test_a_deeper_stream_whose_values_the_header_cannot_hold(self):
        frame = jpeg_2000(RAMP * 100, precision=16, signed=False)  # to 4700
        assert rejected(file(frame, BitsStored=12, HighBit=11)).startswith("BitsStored: found 12; wanted 16")
        frame = jpeg_2000(RAMP.astype(int) * 100 - 3000, precision=16, signed=True)
        assert rejected(file(frame, BitsStored=12, HighBit=11, PixelRepresentation=1)).startswith(
            "BitsStored: found 12"
        )

    @pytest.mark.parametrize("filled", [False, True])
    def test_the_sign_of_fewer_stored_bits(self, filled):
        # -20 in 12 bits is 4076; the four bits above are nothing, or the sign once more.
        wanted = RAMP.astype(int) - 20
        frame = jpeg_2000(wanted % (65536 if filled else 4096), precision=16, signed=False)
        _, pixels = read_study(file(frame, BitsStored=12, HighBit=11, PixelRepresentation=1))
        assert pixels.values.tolist() == wanted.tolist()

    def test_a_shallower_stream(self):
        _, pixels = read_study(file(jpeg_2000(RAMP, precision=8, signed=False), BitsStored=12, HighBit=11))
        assert (pixels.values.tolist(), pixels.high) == (RAMP.tolist(), 4095)
        frame = jpeg_2000((RAMP.astype(int) - 20) % 256, precision=8, signed=False)
        assert rejected(file(frame, BitsStored=12, HighBit=11, PixelRepresentation=1)).startswith(
            "BitsStored: found 12"
        )

    def test_jpeg_ls(self):
        imagecodecs = pytest.importorskip("imagecodecs", reason="the extra 'dicom' is not installed")
        for top, wanted in ((RAMP, None), (RAMP * 1000, "BitsStored: found 12; wanted 16")):
            frame = bytes(imagecodecs.jpegls_encode(top))
            place = frame.index(b"\xff\xf7") + 4
            assert frame[place] == 16 or wanted is None
            made = dataset(RAMP, JPEGLSLossless, PixelData=encapsulate([frame]), BitsStored=12, HighBit=11)
            if wanted:
                assert rejected(encode(made)).startswith(wanted)
            else:
                assert read_study(encode(made))[1].values.tolist() == RAMP.tolist()

    def test_a_lossy_stream_may_go_a_little_beyond(self):
        imagecodecs = pytest.importorskip("imagecodecs", reason="the extra 'dicom' is not installed")
        for top, wanted in ((1040, None), (1500, "BitsStored: found 10; wanted 12")):
            picture = np.full((8, 8), 500, np.uint16)
            picture[:, 4:] = top
            frame = imagecodecs.jpeg8_encode(picture, level=95, bitspersample=12)
            made = dataset(picture, JPEGExtended12Bit, BitsStored=10, HighBit=9, PixelData=encapsulate([frame]))
            if wanted:
                assert rejected(encode(made)).startswith(wanted)
            else:
                _, pixels = read_study(encode(made))
                assert pixels.values.max() == 1023
                assert pixels.notes[-1].startswith("The lossy frame goes a little beyond")

    def test_more_bits_than_the_decoder_keeps(self):
        frame = bytearray(jpeg_2000(RAMP, precision=16, signed=False))
        frame[frame.index(b"\xff\x4f\xff\x51") + 42] = 19
        assert rejected(file(bytes(frame))) == "JPEG 2000 frame of 20 bits; wanted at most 16"


class TestNative:
    def test_the_high_bit_must_be_possible(self):
        assert rejected(encode(dataset(BitsStored=12, HighBit=5))) == "HighBit: found 5; wanted 11 to 15 of 16 bits"

    def test_more_bytes_than_the_image(self):
        made = dataset()
        made.PixelData += bytes(10)
        assert read_study(encode(made))[1].notes[0].startswith("PixelData is longer than the image")
        made.PixelData = made.PixelData[:90]
        assert rejected(encode(made)) == "PixelData: found 90 bytes; wanted 96 for 6x8 pixels of 16 bits"

    def test_bytes_in_words_of_a_big_endian_file(self):
        # Two pixels of 8 bits in an OW word are swapped with its bytes (PS3.5, 7.3 and A.3).
        made = dataset(RAMP.astype(np.uint8), ExplicitVRBigEndian)
        made.PixelData = struct.pack(">24H", *np.frombuffer(RAMP.astype(np.uint8).tobytes(), "<u2"))
        assert read_study(encode(made))[1].values.tolist() == RAMP.tolist()


class TestFragments:
    """One frame is all its fragments, whatever the offset table says (PS3.5, A.4)."""

    FRAME = jpeg_2000(RAMP.astype(int) * 600, precision=16, signed=False)

    def data(self, fragments, table=b""):
        items = [table, *fragments]
        return encode(dataset(RAMP, JPEG2000Lossless, PixelData=b"".join(itemize_fragment(item) for item in items)))

    @pytest.mark.parametrize("offsets", [[], [0], [0, 68], [8], [9999]])
    def test_of_one_frame(self, offsets):
        fragments = [self.FRAME[:60], self.FRAME[60:] + b"\0" * (len(self.FRAME) % 2)]
        data = self.data(fragments, struct.pack(f"<{len(offsets)}L", *offsets))
        assert read_study(data)[1].values.tolist() == (RAMP * 600).tolist()

    @pytest.mark.parametrize("table", [b"", b"\0\0\0\0"])
    def test_of_two_frames(self, table):
        frame = self.FRAME + b"\0" * (len(self.FRAME) % 2)
        with pytest.raises(StudyError, match="multiframe: PixelData holds 2 compressed frames; wanted one"):
            read_study(self.data([frame, frame], table))

    def test_of_none(self):
        assert rejected(self.data([])) == "PixelData: found no fragment; wanted the frame's"

    def test_in_a_file_of_native_pixels(self):
        head = b"\xe0\x7f\x10\0OW\0\0"
        data = encode(dataset())
        data = (
            data[: data.index(head)]
            + head
            + b"\xff" * 4
            + encapsulate([RAMP.tobytes()])
            + b"\xfe\xff\xdd\xe0"
            + bytes(4)
        )
        assert rejected(data) == "PixelData: found fragments; wanted native pixels, as TransferSyntaxUID says"

    @pytest.mark.parametrize("vr", [b"ow", b"  ", b"??"])
    def test_pixels_of_no_known_representation(self, vr):
        data = encode(dataset())
        data = data.replace(b"\xe0\x7f\x10\0OW", b"\xe0\x7f\x10\0" + vr)
        with pytest.raises(StudyError, match="unreadable"):
            read_study(data)


class TestUnusedBits:
    NOTE = "PixelData has bits outside those of BitsStored and HighBit, which are left out."

    @pytest.mark.parametrize(
        ("stored", "elements", "noted"),
        [
            (RAMP, {"BitsStored": 12, "HighBit": 11}, False),
            (RAMP | 0x4000, {"BitsStored": 12, "HighBit": 11}, True),
            (RAMP << 4, {"BitsStored": 12, "HighBit": 15}, False),
            ((RAMP << 4) + 3, {"BitsStored": 12, "HighBit": 15}, True),
            (RAMP.astype(np.int16) - 20, {"BitsStored": 12, "HighBit": 11}, False),  # filled with the sign
            ((RAMP.astype(np.int16) - 20) & 0xFFF, {"BitsStored": 12, "HighBit": 11}, False),  # filled with zeros
            ((RAMP.astype(np.int16) - 20) ^ 0x4000, {"BitsStored": 12, "HighBit": 11}, True),
        ],
    )
    def test_are_noted_where_something_stands_in_them(self, stored, elements, noted):
        pixels = read_study(encode(dataset(stored, **elements)))[1]
        assert pixels.notes == ((self.NOTE,) if noted else ())
        assert np.ptp(pixels.values) == 47

    def test_values_of_eight_bits_in_words_are_those_in_bytes(self):
        words = study_to_uint8(encode(dataset(RAMP + 40, BitsStored=8, HighBit=7)), **AUTO)
        assert (words.window, words.image.tolist()) == ("none", (RAMP + 40).tolist())


def jpeg_file(frame, values, syntax):
    return encode(dataset(values, syntax, PixelData=encapsulate([frame + b"\0" * (len(frame) % 2)])))


def jpeg_frames(values):
    """The same picture by each kind of JPEG code, with its transfer syntax."""
    import cv2

    for options in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]):
        yield cv2.imencode(".jpg", values, options)[1].tobytes(), JPEGBaseline8Bit
    imagecodecs = pytest.importorskip("imagecodecs", reason="the extra 'dicom' is not installed")
    yield imagecodecs.jpeg8_encode(values, lossless=True), JPEGLosslessSV1


class TestDataThatEndBeforeTheImage:
    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.97])
    def test_are_refused_whatever_follows_them(self, share):
        values = np.random.default_rng(8).integers(0, 256, (64, 64), np.uint8)
        for frame, syntax in jpeg_frames(values):
            start = frame.index(b"\xff\xda") + 2
            cut = frame[: start + int((len(frame) - start) * share)].rstrip(b"\xff") + b"\xff\xd9"
            assert "cut short: its data end before the image does" in rejected(jpeg_file(cut, values, syntax))

    @pytest.mark.parametrize("last", [127, 128, 129])
    def test_a_whole_image_that_ends_in_middle_grey_is_read(self, last, capfd):
        values = np.full((64, 64), last, np.uint8)
        values[:8] = np.arange(64)
        for frame, syntax in jpeg_frames(values):
            read = read_study(jpeg_file(frame, values, syntax))[1].values
            assert abs(int(read[-1, -1]) - last) <= 1
        assert capfd.readouterr() == ("", "")  # libjpeg would say that there are bytes too many


def test_high_bit_beside_a_frame_says_nothing_but_is_noted():
    frame = jpeg_2000(RAMP.astype(int) * 600, precision=16, signed=False)
    made = dataset(RAMP, JPEG2000Lossless, PixelData=encapsulate([frame]))
    made.HighBit = 11
    _, pixels = read_study(encode(made))
    assert pixels.values.tolist() == (RAMP * 600).tolist()
    assert pixels.notes == ("HighBit is 11, BitsStored 16: a compressed frame has no other bits.",)
