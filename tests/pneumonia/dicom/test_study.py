"""DICOM files made here, byte by byte where it matters, and real ones where they lie beside the project."""

import contextlib
import hashlib
import io
import math
import pickle
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tests.dicom_files import RAMP, dataset, encode, jpeg, lut, read_header, read_pixels, reason
from tests.places import SHARED

from pneumonia.dicom import parsing
from pneumonia.dicom.decoders import MissingDecoderError
from pneumonia.dicom.study import parse_age, read_study
from pneumonia.rejection import Reason, StudyError


class TestHeader:
    def test_reads_what_the_challenge_has(self):
        made = dataset(PatientSex="F", ViewPosition="AP", PixelSpacing=[0.143, 0.143], PatientAge="057Y")
        header = read_header(encode(made).replace(b"057Y", b"57  "), "abc")
        assert (header.study, header.view, header.sex, header.age, header.spacing) == ("abc", "AP", "F", 57.0, 0.143)
        assert (header.rows, header.columns, header.photometric, header.modality) == (6, 8, "MONOCHROME2", "CR")
        assert (header.windows, header.aspect, header.in_hounsfield) == ((), 1.0, False)

    def test_unknown_values_are_empty_or_nan(self):
        header = read_header(encode(dataset(ViewPosition="LL", PatientSex="O", PixelSpacing=[0, 0])))
        assert (header.view, header.sex) == ("", "")
        assert math.isnan(header.age)
        assert math.isnan(header.spacing)

    def test_several_windows_keep_their_order(self):
        header = read_header(encode(dataset(WindowCenter=[40, 400], WindowWidth=[80, 800], VOILUTFunction="SIGMOID")))
        assert header.windows == ((40.0, 80.0), (400.0, 800.0))
        assert header.window_function == "SIGMOID"

    def test_pixels_that_are_not_square(self):
        assert read_header(encode(dataset(ImagerPixelSpacing=[0.2, 0.1]))).aspect == 2.0
        assert read_header(encode(dataset(PixelAspectRatio=["3", "4"]))).aspect == 0.75

    @pytest.mark.parametrize("spacing", [[5, 1], [1, 5], [-1, 1]])
    def test_pixels_of_no_believable_shape_count_as_square(self, spacing):
        assert read_header(encode(dataset(PixelSpacing=spacing))).aspect == 1.0

    @pytest.mark.parametrize(
        ("text", "years"),
        [("57", 57), ("057Y", 57), ("148", 148), ("006M", 0.5), ("052W", 364 / 365.25), (" 9y", 9)],
    )
    def test_ages(self, text, years):
        assert parse_age(text) == pytest.approx(years)

    @pytest.mark.parametrize("text", ["", "Y", "-3", "57X", "old"])
    def test_ages_that_are_none(self, text):
        assert math.isnan(parse_age(text))


class TestValues:
    @pytest.mark.parametrize(
        "syntax",
        [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    )
    def test_uncompressed(self, syntax):
        pixels = read_pixels(encode(dataset(syntax=syntax)))
        np.testing.assert_array_equal(pixels.values, RAMP)
        assert (pixels.decoder, pixels.low, pixels.high, pixels.values.dtype) == ("pydicom", 0, 65535, np.uint16)

    def test_unused_high_bits_are_cleared(self):
        pixels = read_pixels(encode(dataset(RAMP | 0xA000, BitsStored=12, HighBit=11)))
        np.testing.assert_array_equal(pixels.values, RAMP)
        assert pixels.high == 4095

    def test_stored_bits_may_end_at_the_top(self):
        pixels = read_pixels(encode(dataset((RAMP << 4) + 3, BitsStored=12, HighBit=15)))
        np.testing.assert_array_equal(pixels.values, RAMP)

    def test_signed_values_of_fewer_bits_keep_their_sign(self):
        # -1 in 12 bits is 0x0FFF; what stands in the four bits above does not matter.
        stored = np.array([[0x0FFF, 0x07FF], [0x0800, 0xF001]], np.uint16)
        pixels = read_pixels(encode(dataset(stored, BitsStored=12, HighBit=11, PixelRepresentation=1)))
        assert pixels.values.tolist() == [[-1, 2047], [-2048, 1]]
        assert (pixels.low, pixels.high, pixels.values.dtype) == (-2048, 2047, np.int16)

    def test_rescale(self):
        pixels = read_pixels(encode(dataset(RescaleSlope=0.5, RescaleIntercept=-1024, RescaleType="HU")))
        assert pixels.values.dtype == np.float32
        assert pixels.values[0, :3].tolist() == [-1024, -1023.5, -1023]
        assert (pixels.low, pixels.high) == (-1024, 31743.5)

    def test_modality_lut(self):
        made = dataset(np.array([[0, 1], [2, 60000]], np.uint16), ModalityLUTSequence=lut(1, [500, 900], 10))
        pixels = read_pixels(encode(made))
        assert pixels.values.tolist() == [[500, 500], [900, 900]]  # outside the table: its nearest end
        assert (pixels.low, pixels.high) == (0, 1023)

    def test_voi_lut_of_8_bit_entries_in_16_bit_words(self):
        made = dataset(VOILUTSequence=lut(0, [0, 1, 2, 3], 8))
        item = made.VOILUTSequence[0]
        item["LUTData"].VR, item.LUTData = "OW", bytes([5, 6, 7, 8])
        (found,) = read_pixels(encode(made)).voi_luts
        assert found.table.tolist() == [5, 6, 7, 8]

    def test_first_mapped_value_may_be_negative(self):
        made = dataset(RAMP.astype(np.int16) - 20, VOILUTSequence=lut(65535 - 9, list(range(20)), 8))
        (found,) = read_pixels(encode(made)).voi_luts
        assert found.first == -10
        assert found(np.array([-11, -10, -9, 50])).tolist() == [0, 0, 1, 19]

    def test_padding_is_one_value_or_a_range(self):
        made = dataset(PixelPaddingValue=47)
        made["PixelPaddingValue"].VR = "US"
        assert np.argwhere(read_pixels(encode(made)).padding).tolist() == [[5, 7]]
        made.PixelPaddingRangeLimit = 45
        made["PixelPaddingRangeLimit"].VR = "US"
        assert np.argwhere(read_pixels(encode(made)).padding).tolist() == [[5, 5], [5, 6], [5, 7]]

    def test_padding_whose_sign_only_the_pixels_tell(self):
        made = dataset(RAMP.astype(np.int16) - 20, ImplicitVRLittleEndian, PixelPaddingValue=-20)
        made["PixelPaddingValue"].VR = "SS"  # implicit files do not write it down: US or SS
        pixels = read_pixels(encode(made))
        assert pixels.values[0, :2].tolist() == [-20, -19]
        assert np.argwhere(pixels.padding).tolist() == [[0, 0]]

    def test_several_voi_luts_keep_their_order(self):
        made = dataset(VOILUTSequence=lut(0, [1, 2], 8) + lut(0, [3, 4, 5], 8))
        assert [found.table.tolist() for found in read_pixels(encode(made)).voi_luts] == [[1, 2], [3, 4, 5]]

    def test_32_bits(self):
        stored = np.array([[1, 2**31 + 7]], np.uint32)
        assert read_pixels(encode(dataset(stored))).values.tolist() == [[1, 2**31 + 7]]
        made = dataset(stored, BitsStored=20, HighBit=19, PixelRepresentation=1)
        made.PixelData = np.array([[0xFFF00001, 0x000FFFFF]], "<u4").tobytes()
        assert read_pixels(encode(made)).values.tolist() == [[1, -1]]  # the 12 bits above do not matter

    def test_a_rescale_beyond_all_floats_is_refused(self):
        assert reason(encode(dataset(RescaleSlope="1e38", RescaleIntercept=0))) == Reason.UNREADABLE


class TestDecoders:
    def test_jpeg_is_what_another_decoder_gives(self):
        picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 56), np.uint8), (9, 9), 0)
        made, frame = jpeg(picture)
        pixels = read_pixels(encode(made))
        other = np.asarray(Image.open(io.BytesIO(frame))).astype(int)
        assert np.abs(pixels.values.astype(int) - other).max() <= 1
        assert pixels.decoder == "opencv"

    @pytest.mark.parametrize(("top", "dtype"), [(255, np.uint8), (4095, np.uint16), (65535, np.uint16)])
    def test_jpeg_2000_lossless(self, top, dtype):
        picture = np.random.default_rng(1).integers(0, top + 1, (33, 47)).astype(dtype)
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
        made = dataset(picture, JPEG2000Lossless, PixelData=encapsulate([stream.getvalue()]))
        pixels = read_pixels(encode(made))
        np.testing.assert_array_equal(pixels.values, picture)
        assert pixels.decoder == "pillow-openjpeg"

    def test_rle(self):
        made = dataset()
        made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        pixels = read_pixels(encode(made))
        np.testing.assert_array_equal(pixels.values, RAMP)
        assert pixels.decoder == "rle"

    @pytest.mark.parametrize(
        ("syntax", "codec", "wanted"),
        [(JPEGLSLossless, "jpegls", "imagecodecs-jpegls"), (JPEGLosslessSV1, "ljpeg", "imagecodecs-jpeg8")],
    )
    def test_lossless_by_the_extra(self, syntax, codec, wanted):
        imagecodecs = pytest.importorskip("imagecodecs", reason="the extra 'dicom' is not installed")
        picture = (np.random.default_rng(2).integers(0, 1024, (32, 48))).astype(np.uint16)
        frame = getattr(imagecodecs, f"{codec}_encode")(picture)
        pixels = read_pixels(encode(dataset(picture, syntax, PixelData=encapsulate([bytes(frame)]))))
        np.testing.assert_array_equal(pixels.values, picture)
        assert pixels.decoder == wanted

    def test_jpeg_of_12_bits_by_the_extra(self):
        imagecodecs = pytest.importorskip("imagecodecs", reason="the extra 'dicom' is not installed")
        picture = np.add.outer(np.arange(40), np.arange(56)).astype(np.uint16) * 40  # 0 to 3760
        frame = imagecodecs.jpeg8_encode(picture, level=95, bitspersample=12)
        made = dataset(picture, JPEGExtended12Bit, BitsStored=12, HighBit=11, PixelData=encapsulate([frame]))
        pixels = read_pixels(encode(made))
        assert np.abs(pixels.values.astype(int) - picture).max() <= 2
        assert (pixels.decoder, pixels.high) == ("imagecodecs-jpeg8", 4095)

    def test_a_jp2_file_in_the_place_of_a_code_stream(self):
        picture = np.random.default_rng(1).integers(0, 256, (33, 47)).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG2000", irreversible=False)
        made = dataset(picture, JPEG2000Lossless, PixelData=encapsulate([stream.getvalue()]))
        np.testing.assert_array_equal(read_pixels(encode(made)).values, picture)

    def test_run_lengths_worked_out_by_hand(self):
        # Two planes, the high bytes first: 3 x 0 and 1; then literally 5 6 7 8. 128 means nothing (PS3.5, G.3.2).
        frame = struct.pack("<16L", 2, 64, 70, *[0] * 13) + b"\xfe\0\x80\0\1\0" + b"\3\5\6\7\x08\0"
        made = dataset(np.zeros((2, 2), np.uint16), RLELossless, PixelData=encapsulate([frame]))
        assert read_pixels(encode(made)).values.tolist() == [[5, 6], [7, 264]]

    def test_a_missing_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
        # A JPEG-LS frame header for 6 x 8 pixels of 16 bits (ITU T.87, C.2.2), and an end marker.
        frame = b"\xff\xd8\xff\xf7\x00\x0b\x10\x00\x06\x00\x08\x01\x01\x11\x00\xff\xd9"
        with pytest.raises(MissingDecoderError, match=r"JPEG-LS Lossless .* pip install -e '\.\[dicom\]'") as caught:
            read_study(encode(dataset(syntax=JPEGLSLossless, PixelData=encapsulate([frame]))))
        assert pickle.loads(pickle.dumps(caught.value)).detail == caught.value.detail


class TestRejected:
    @pytest.mark.parametrize(
        ("changes", "wanted"),
        [
            ({"Modality": "MG"}, Reason.WRONG_MODALITY),
            ({"PixelData": None}, Reason.NO_PIXELS),
            ({"PixelData": b""}, Reason.NO_PIXELS),
            ({"SamplesPerPixel": 3}, Reason.COLOUR),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.COLOUR),
            ({"NumberOfFrames": 2}, Reason.MULTIFRAME),
            ({"Rows": 65535, "Columns": 65535}, Reason.UNREADABLE),
            ({"Rows": 0}, Reason.UNREADABLE),
            ({"Rows": 7}, Reason.UNREADABLE),  # more than there is
            ({"BitsStored": 17}, Reason.UNREADABLE),
            ({"RescaleSlope": 0, "RescaleIntercept": 1}, Reason.UNREADABLE),
            ({"VOILUTSequence": lut(0, [1, 2], 77)}, Reason.UNREADABLE),
        ],
    )
    def test_one_frame_of_grey(self, changes, wanted):
        assert reason(encode(dataset(**changes))) == wanted

    def test_constant_pixels(self):
        assert reason(encode(dataset(np.full((4, 4), 9, np.uint16)))) == Reason.CONSTANT_PIXELS

    def test_constant_but_for_padding(self):
        stored = np.full((4, 4), 9, np.uint16)
        stored[0] = 0
        made = dataset(stored, PixelPaddingValue=0)
        assert reason(encode(made)) == Reason.CONSTANT_PIXELS

    def test_no_dicom_at_all(self):
        assert reason(b"<html>not found</html>" * 20) == Reason.UNREADABLE
        assert reason(b"") == Reason.UNREADABLE

    def test_an_unknown_transfer_syntax(self):
        data = encode(dataset()).replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.9.9.9\x00")
        with pytest.raises(StudyError, match=r"no decoder for transfer syntax 1\.2\.840\.10008\.9\.9\.9"):
            read_study(data)

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
    def test_truncated_files(self, share):
        picture = np.random.default_rng(3).integers(0, 256, (64, 64), np.uint8)
        for made in (dataset(picture), jpeg(picture)[0]):
            data = encode(made)
            assert reason(data[: int(len(data) * share)]) in {Reason.UNREADABLE, Reason.NO_PIXELS}

    def test_a_truncated_frame_in_a_whole_file(self):
        made, frame = jpeg(np.random.default_rng(4).integers(0, 256, (64, 64), np.uint8))
        made.PixelData = encapsulate([frame[: len(frame) // 2]])
        with pytest.raises(StudyError, match="cut short"):
            read_study(encode(made))

    def test_a_frame_that_is_larger_than_the_header_says(self):
        made, _ = jpeg(np.random.default_rng(5).integers(0, 256, (64, 64), np.uint8), Rows=32)
        with pytest.raises(StudyError, match="the compressed frame is 64x64, the header says 32x64"):
            read_study(encode(made))

    def test_a_colour_frame_in_a_grey_header(self):
        frame = cv2.imencode(".jpg", np.random.default_rng(6).integers(0, 256, (6, 8, 3), np.uint8))[1].tobytes()
        made = dataset(RAMP.astype(np.uint8), JPEGBaseline8Bit, PixelData=encapsulate([frame]))
        assert reason(encode(made)) == Reason.COLOUR

    def test_a_deflated_bomb_is_not_inflated(self, monkeypatch):
        monkeypatch.setattr(parsing, "MAX_INFLATED_BYTES", 30_000)
        whole = encode(dataset(syntax=DeflatedExplicitVRLittleEndian))
        start = 144 + int.from_bytes(whole[140:144], "little")
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = deflater.compress(bytes(5_000_000)) + deflater.flush()
        with pytest.raises(StudyError, match="inflates to more than 30,000 bytes"):
            read_study(whole[:start] + bomb)
        assert read_pixels(whole).values.shape == (6, 8)

    def test_messages_never_quote_what_may_be_a_name(self):
        with pytest.raises(StudyError) as caught:
            read_study(encode(dataset(Modality="ABCDEFGH")).replace(b"ABCDEFGH", b"DOE^JANE"))
        assert "DOE" not in caught.value.detail
        for keyword in ("Modality", "PhotometricInterpretation"):
            with pytest.raises(StudyError, match="no valid code") as caught:
                read_study(encode(dataset(**{keyword: "MUELLER"})))
            assert "MUELLER" not in caught.value.detail

    def test_flipped_bits_end_in_pixels_or_in_a_reason(self):
        rng = np.random.default_rng(7)
        picture = rng.integers(0, 256, (32, 32), np.uint8)
        made = dataset()
        made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        sound = [encode(dataset()), encode(jpeg(picture)[0]), encode(made)]
        for _ in range(300):
            data = bytearray(sound[rng.integers(len(sound))])
            for place in rng.integers(128, len(data), rng.integers(1, 8)):
                data[place] ^= 1 << int(rng.integers(8))
            with contextlib.suppress(StudyError):  # and nothing else
                header, pixels = read_study(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]))
                assert pixels.values.shape == (header.rows, header.columns)


# Shape, and SHA-256 of the stored values (16 bits, little-endian) on which GDCM, libjpeg and OpenJPEG (through pylibjpeg) and
# dicomsdl agree; `benchmarks/decoders.py` compares them anew.
REAL = {
    "chest-dx-12bit-jpeg2000-lossless": (
        (2128, 2000),
        "99b9791ddeb72328816843d0a23c14207234ab95652e78478bca733aad767586",
    ),
    "chest-monochrome1-15bit-jpeg2000": (
        (1955, 1841),
        "88aa9135b12d8582316d1db5c45b4c2c55dd1da74c3c52a80a7be49f145c7149",
    ),
    "hand-monochrome1-10bit-jpeg2000-lossless": (
        (1760, 1760),
        "85480a0287e37795bc96799747a69af475f3bf0c35203fac1010fc6e100821a7",
    ),
    "hip-10bit-jpeg-lossless": ((2140, 1760), "9ed5d9818c250bb81ff9093a6c4d5c6032df281fce82b9a288de65c74348301e"),
    "hip-10bit-jpegls": ((2140, 1760), "9ed5d9818c250bb81ff9093a6c4d5c6032df281fce82b9a288de65c74348301e"),
}


def real_file(name):
    path = SHARED / "dicom" / f"{name}.dcm"
    if not path.is_file():
        pytest.skip(f"{path.name} of ../shared/dicom is not there")
    return path.read_bytes()


@pytest.mark.parametrize("name", REAL)
def test_real_files_of_other_makes(name):
    try:
        values = read_pixels(real_file(name)).values
    except MissingDecoderError as error:
        pytest.skip(error.detail)
    assert (values.shape, hashlib.sha256(values.astype("<u2").tobytes()).hexdigest()) == REAL[name]


@pytest.mark.parametrize("name", ["rsna-original-1", "rsna-original-2", "rsna-style-monochrome1-jpeg8"])
def test_real_files_of_the_challenge(name):
    data = real_file(name)
    header, pixels = read_study(data)
    start = data.index(b"\xff\xd8\xff")
    other = np.asarray(Image.open(io.BytesIO(data[start:]))).astype(int)
    assert (pixels.decoder, pixels.values.shape, header.modality) == ("opencv", (1024, 1024), "CR")
    assert np.abs(pixels.values.astype(int) - other).max() <= 1
