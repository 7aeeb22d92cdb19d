"""Elements that are absent, readable or unreadable: what is mended, and what is refused by name."""

import math
import struct

import numpy as np
import pytest
from pydicom.uid import ImplicitVRLittleEndian
from tests.dicom_files import RAMP, dataset, element, encode, rejected, with_elements

from pneumonia.dicom.study import read_study
from pneumonia.dicom.windowing import study_to_uint8

LUNG = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": (0.5, 99.5)}
WIDE = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)


def window(center, width, **elements):
    """The window of a file whose WindowCenter and WindowWidth are these texts."""
    parts = [("WindowCenter", "DS", center), ("WindowWidth", "DS", width)]
    parts += [(name, *item) for name, item in elements.items()]
    return with_elements(dataset(WIDE), *(element(*part) for part in parts if part[2] is not None))


class TestNumbers:
    @pytest.mark.parametrize(
        ("intercept", "slope", "first"),
        [
            (b"-1024,000000", b"1,000000", -1024),
            (b"-1024,000 ", b"1,000 ", -1024),  # the other one proves that a comma is decimal
            (b"-1024", b"0,5 ", -1024),
            (b" -1024\0", b"+1.0E0", -1024),
            (b"-1024\\", b"1 ", -1024),
        ],
    )
    def test_a_rescale_beyond_doubt(self, intercept, slope, first):
        data = with_elements(
            dataset(WIDE), element("RescaleIntercept", "DS", intercept), element("RescaleSlope", "DS", slope)
        )
        _, pixels = read_study(data)
        assert pixels.values[0, 0] == first
        assert pixels.values[0, 1] == first + 64 * (0.5 if slope.startswith(b"0,5") else 1)

    @pytest.mark.parametrize(
        ("slope", "found"),
        [
            (b"1,000 ", "a comma that may stand for a decimal point or for thousands"),
            (b"JANE  ", "text that is no number"),
            (b"NaN ", "text that is no number"),
            (b"1e999 ", "no finite number"),
            (b"1\\2 ", "2 values"),
            (b"0 ", "0, intercept -1024"),
        ],
    )
    def test_a_rescale_in_doubt_is_refused_by_name(self, slope, found):
        data = with_elements(
            dataset(WIDE), element("RescaleIntercept", "DS", b"-1024 "), element("RescaleSlope", "DS", slope)
        )
        assert rejected(data).startswith(f"RescaleSlope: found {found}; wanted ")
        assert "JANE" not in rejected(data)

    def test_an_intercept_without_a_slope(self):
        # Required with each other (PS3.3, C.11.1); dcmtk and pydicom leave the intercept out, dcm4che takes a slope of 1.
        data = with_elements(dataset(WIDE), element("RescaleIntercept", "DS", b"-1024 "))
        assert rejected(data) == "RescaleSlope: found no value; wanted one, as RescaleIntercept is -1024"
        _, pixels = read_study(with_elements(dataset(WIDE), element("RescaleIntercept", "DS", b"0 ")))
        assert pixels.values.tolist() == WIDE.tolist()

    @pytest.mark.parametrize(
        ("vr", "value"),
        [("IS", b"8 "), ("UL", b"\x08\0\0\0"), ("UN", b"\x08\0"), ("DS", b"8.0 "), ("SS", b"\x08\0")],
    )
    def test_a_number_is_read_whatever_its_value_representation(self, vr, value):
        header, _ = read_study(with_elements(dataset(WIDE), element("Rows", vr, value)))
        assert header.rows == 8

    @pytest.mark.parametrize(
        "keyword",
        ["Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation"],
    )
    def test_without_these_there_is_no_image(self, keyword):
        assert rejected(encode(dataset(WIDE, **{keyword: None}))).startswith(f"{keyword}: found no")
        vr = "CS" if keyword.startswith("Photo") else "US"
        data = with_elements(dataset(WIDE), element(keyword, vr, b""))
        assert rejected(data).startswith(f"{keyword}: found no value")

    @pytest.mark.parametrize("value", [b"", b"\x0b"])
    def test_the_high_bit(self, value):
        data = with_elements(dataset(WIDE, BitsStored=12), element("HighBit", "US", value))
        if value:  # one byte, where two are wanted
            assert rejected(data) == "HighBit: found 1 bytes of US; wanted a number"
        else:
            assert study_to_uint8(data, **LUNG).notes[-1] == "HighBit is taken for BitsStored - 1."
            assert read_study(data)[1].values.tolist() == WIDE.tolist()

    def test_samples_and_frames(self):
        made = dataset(WIDE, SamplesPerPixel=None)
        assert read_study(encode(made))[1].values.tolist() == WIDE.tolist()
        data = with_elements(dataset(WIDE), element("NumberOfFrames", "IS", b"x "))
        assert rejected(data) == "NumberOfFrames: found text that is no number; wanted a number"
        data = with_elements(dataset(WIDE), element("NumberOfFrames", "IS", b""))
        assert "NumberOfFrames has no value above 0: 1 is taken." in study_to_uint8(data, **LUNG).notes


class TestWindows:
    @pytest.mark.parametrize(
        ("center", "width", "found"),
        [
            (b"1500\\", b"1000\\", (1500, 1000)),
            (b"1500\\NaN ", b"1000\\NaN ", (1500, 1000)),
            (b"1500\\x", b"1000\\1000 ", (1500, 1000)),
            (b"NaN\\1500", b"1000\\1000 ", (1500, 1000)),  # another view of the maker's
            (b"1500\\40 ", b"1000", (1500, 1000)),
            (b"40\\1500 ", b"0\\1000", (1500, 1000)),
            (b"1500,5", b"1000,25 ", (1500.5, 1000.25)),
        ],
    )
    def test_the_readable_ones_of_a_list_are_used(self, center, width, found):
        seen = study_to_uint8(window(center, width), **LUNG)
        assert (seen.window, seen.center, seen.width) == ("dicom", *found)
        assert seen.notes
        # 1500, 1000: black up to 1000, white from 2000 (PS3.3, C.11.2.1.2.1); 1472: (1472 - 1499.5) / 999 + 0.5 = 0.472
        if found == (1500, 1000):
            assert (seen.image.ravel()[15], seen.image.ravel()[23], seen.image.ravel()[32]) == (0, 120, 255)

    @pytest.mark.parametrize(
        ("center", "width", "why"),
        [
            (b"1500", None, "WindowWidth: found no value; wanted one, as WindowCenter has one"),
            (b"", b"1000", "WindowCenter: found no value; wanted one, as WindowWidth has one"),
            (b"x ", b"1000", "WindowCenter: found text that is no number; wanted a number"),
            (b"1500", b"inf ", "WindowWidth: found text that is no number; wanted a number"),
            (b"1500", b"0 ", "WindowWidth: found 0; wanted at least 1 for LINEAR"),
            (b"1500", b"-9", "WindowWidth: found -9; wanted at least 1 for LINEAR"),
            (b"1500", b"0.5 ", "WindowWidth: found 0.5; wanted at least 1 for LINEAR"),
            (
                b"1,500 ",
                b"1000",
                "WindowCenter: found a comma that may stand for a decimal point or for thousands; wanted a number",
            ),
        ],
    )
    def test_a_file_whose_windows_are_all_unusable_is_refused(self, center, width, why):
        assert rejected(window(center, width)) == why

    @pytest.mark.parametrize(("center", "width"), [(b"", b""), (b"0 ", b"0 ")])
    def test_no_window_at_all(self, center, width):
        seen = study_to_uint8(window(center, width), **LUNG)
        assert seen.window == "percentile"
        assert len(seen.notes) == 1

    @pytest.mark.parametrize(
        ("written", "found"), [(b"linear_exact", "LINEAR_EXACT"), (b"LINEAR EXACT", "LINEAR_EXACT")]
    )
    def test_a_function_that_is_understood(self, written, found):
        header, _ = read_study(window(b"1500", b"1000", VOILUTFunction=("CS", written)))
        assert header.window_function == found

    def test_a_function_that_is_not(self):
        data = window(b"1500", b"1000", VOILUTFunction=("CS", b"SIGMA "))
        assert rejected(data).startswith("VOILUTFunction: found no known function; wanted LINEAR")

    def test_values_in_hounsfield_need_no_window_of_the_file(self):
        data = window(
            b"x ", b"1000", RescaleIntercept=("DS", b"-1024 "), RescaleSlope=("DS", b"1 "), RescaleType=("LO", b"HU")
        )
        assert study_to_uint8(data, **LUNG).window == "hu"

    @pytest.mark.parametrize(("vr", "value"), [("FD", b"-1024.00"), ("US", b"1 "), ("UL", b"1.00"), ("SS", b"-1")])
    def test_text_in_an_element_of_binary_numbers(self, vr, value):
        data = with_elements(dataset(), element("RescaleIntercept", vr, value), element("RescaleSlope", "DS", b"1 "))
        assert rejected(data) == f"RescaleIntercept: found {vr} that may be text; wanted a number"


class TestPadding:
    @pytest.mark.parametrize("vr", ["SS", "US", "UN", "OW"])
    def test_has_the_sign_of_the_pixels(self, vr):
        # 63536 and -2000 are the same two bytes; PS3.3, C.7.5.1.1.2 gives them the sign of Pixel Representation.
        stored = np.arange(-8, 56, dtype=np.int16).reshape(8, 8)
        stored[0] = -2000
        data = with_elements(dataset(stored), element("PixelPaddingValue", vr, struct.pack("<h", -2000)))
        seen = study_to_uint8(data, **LUNG)
        assert read_study(data)[1].padding.sum() == 8
        assert (seen.image[0] == 0).all()
        assert seen.image[1, 0] == 0  # the darkest of the others
        assert bool(seen.notes) == (vr == "US")

    def test_unsigned_pixels_with_a_signed_value(self):
        stored = RAMP + np.uint16(65488)  # 65488 to 65535
        data = with_elements(dataset(stored), element("PixelPaddingValue", "SS", struct.pack("<h", -1)))
        assert np.argwhere(read_study(data)[1].padding).tolist() == [[5, 7]]

    def test_a_range_limit_of_the_other_kind(self):
        stored = np.arange(-24, 24, dtype=np.int16).reshape(6, 8)
        limits = [
            element(name, "US", struct.pack("<h", item))
            for name, item in (("PixelPaddingValue", -24), ("PixelPaddingRangeLimit", -22))
        ]
        assert read_study(with_elements(dataset(stored), *limits))[1].padding.sum() == 3

    def test_in_implicit_files_nothing_says_its_kind(self):
        stored = np.arange(-24, 24, dtype=np.int16).reshape(6, 8)
        made = dataset(stored, ImplicitVRLittleEndian, PixelPaddingValue=65512)  # -24
        made["PixelPaddingValue"].VR = "US"
        assert read_study(encode(made))[1].padding.sum() == 1

    @pytest.mark.parametrize(("value", "limit", "black"), [(40, 60000, 1), (60000, 40, 0), (60000, 61000, 0)])
    def test_outside_what_is_stored_it_makes_no_range(self, value, limit, black):
        limits = [
            element(name, "US", struct.pack("<H", item))
            for name, item in (("PixelPaddingValue", value), ("PixelPaddingRangeLimit", limit))
        ]
        pixels = read_study(with_elements(dataset(BitsStored=12, HighBit=11), *limits))[1]
        assert (0 if pixels.padding is None else pixels.padding.sum()) == black
        assert any("lies outside the values that BitsStored allows, and is not used" in note for note in pixels.notes)

    def test_a_value_in_doubt_is_refused(self):
        stored = RAMP.copy()
        stored[0, 0] = 0x830  # what 12 bits leave of 0xF830
        data = with_elements(
            dataset(stored, BitsStored=12, HighBit=11), element("PixelPaddingValue", "US", b"\x30\xf8")
        )
        assert rejected(data) == "PixelPaddingValue: found 63536; wanted 0 to 4095, as BitsStored says"
        assert rejected(with_elements(dataset(), element("PixelPaddingValue", "US", b"\1"))).startswith(
            "PixelPaddingValue: "
        )


class TestShape:
    @pytest.mark.parametrize(
        ("keyword", "text", "spacing", "aspect"),
        [
            ("PixelSpacing", b"0,143\\0,143 ", 0.143, 1),
            ("PixelSpacing", b"0.2 ", 0.2, 1),
            ("ImagerPixelSpacing", b"0.2\\0.1 ", 0.2, 2),
            ("PixelSpacing", b"0\\0 ", math.nan, 1),
        ],
    )
    def test_spacings(self, keyword, text, spacing, aspect):
        header, _ = read_study(with_elements(dataset(), element(keyword, "DS", text)))
        assert (header.spacing, header.aspect) == (pytest.approx(spacing, nan_ok=True), aspect)

    def test_a_shape_that_nobody_can_read(self):
        bad = element("PixelSpacing", "DS", b"x\\y ")
        assert rejected(with_elements(dataset(), bad)).startswith("PixelSpacing: found text that is no number")
        other = element("ImagerPixelSpacing", "DS", b"0.2\\0.1 ")
        assert read_study(with_elements(dataset(), bad, other))[0].aspect == 2


@pytest.mark.parametrize(
    ("shape", "photometric", "contradicts"),
    [
        ("IDENTITY", "MONOCHROME2", False),
        ("INVERSE", "MONOCHROME1", False),
        ("INVERSE", "MONOCHROME2", True),
        ("IDENTITY", "MONOCHROME1", True),
    ],
)
def test_presentation_lut_shape_against_the_photometric_interpretation(shape, photometric, contradicts):
    made = dataset(WIDE, PresentationLUTShape=shape, PhotometricInterpretation=photometric)
    seen = study_to_uint8(encode(made), **LUNG)
    inverted = photometric == "MONOCHROME1"
    assert (seen.inverted, seen.image[0, 0]) == (inverted, 255 if inverted else 0)
    note = f"PresentationLUTShape {shape} contradicts PhotometricInterpretation {photometric}, which is followed."
    assert seen.notes == ((note,) if contradicts else ())


def test_a_photometric_interpretation_with_a_blank_in_it():
    data = with_elements(dataset(WIDE), element("PhotometricInterpretation", "CS", b"MONOCHROME 1"))
    assert study_to_uint8(data, **LUNG).inverted
