"""Windowing: the worked examples of the standard, and which transformation a file gets."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dicom_files import RAMP, dataset, encode

from pneumonia.dicom.study import Pixels, StudyHeader
from pneumonia.dicom.tables import Lut
from pneumonia.dicom.windowing import percentile_range, study_to_uint8, to_uint8, window
from pneumonia.rejection import Reason, StudyError

LUNG = {"center": -600.0, "width": 1500.0, "percentiles": (0.5, 99.5)}


def header(**changes):
    values = {
        "study": "s",
        "view": "PA",
        "sex": "F",
        "age": 50.0,
        "rows": 1,
        "columns": 1,
        "spacing": math.nan,
        "aspect": 1.0,
        "photometric": "MONOCHROME2",
        "modality": "CR",
        "sop_class": "",
        "transfer_syntax": "",
        "bits_stored": 16,
        "signed": False,
        "rescale_type": "",
        "rescaled": True,
        "windows": (),
        "window_function": "LINEAR",
    }
    return StudyHeader(**values | changes)


def pixels(values, low=0.0, high=65535.0, **changes):
    return Pixels(
        np.asarray(values), **{"padding": None, "low": low, "high": high, "voi_luts": (), "decoder": ""} | changes
    )


def windowed(*file, **window):
    seen = to_uint8(*file, **window)
    return seen.image, seen.window


@pytest.mark.parametrize(
    ("center", "width", "value", "wanted"),
    [
        # The notes to PS3.3, C.11.2.1.2.1, for an output range of 0 to 255.
        (2048, 4096, 0, 0),
        (2048, 4096, 1, ((1 - 2047.5) / 4095 + 0.5) * 255),
        (2048, 4096, 4095, 255),
        (2048, 1, 2047, 0),
        (2048, 1, 2048, 255),
        (0, 100, -50, 0),
        (0, 100, 0, (0.5 / 99 + 0.5) * 255),
        (0, 100, 49, 255),
        (0, 1, -1, 0),
        (0, 1, 0, 255),
    ],
)
def test_linear_window_follows_the_standard(center, width, value, wanted):
    assert 255 * window(np.array([value]), center, width)[0] == pytest.approx(wanted)


def test_linear_exact_and_sigmoid():
    # LINEAR_EXACT spans center -+ width / 2: 0 at 0, 1 at 100.
    np.testing.assert_allclose(window([0, 25, 50, 100], 50, 100, "LINEAR_EXACT"), [0, 0.25, 0.5, 1])
    # 1 / (1 + exp(-4 (x - c) / w)): at c + w / 4 the exponent is -1.
    np.testing.assert_allclose(window([50, 75], 50, 100, "SIGMOID"), [0.5, 1 / (1 + math.exp(-1))])
    assert window([-1e9, 1e9], 0, 1e-3, "SIGMOID").tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(("width", "function"), [(0.5, "LINEAR"), (0, "LINEAR_EXACT"), (-1, "SIGMOID")])
def test_an_impossible_width_is_refused(width, function):
    with pytest.raises(ValueError, match=f"got {width} for {function}"):
        window([0], 0, width, function)


def test_the_challenges_files_pass_through_unchanged():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image, used = windowed(header(bits_stored=8), pixels(values, 0, 255), mode="auto", **LUNG)
    assert used == "none"
    np.testing.assert_array_equal(image, values)


@pytest.mark.parametrize("mode", ["auto", "hu", "dicom", "percentile", "none"])
def test_monochrome1_is_the_negative_in_every_mode(mode):
    values = np.array([[-1200, -900], [-600, 0]], np.int16)
    image, _ = windowed(header(signed=True), pixels(values, -32768, 32767), mode=mode, **LUNG)
    negative, _ = windowed(
        header(signed=True, photometric="MONOCHROME1"), pixels(values, -32768, 32767), mode=mode, **LUNG
    )
    np.testing.assert_allclose(negative.astype(int), 255 - image.astype(int), atol=1)  # halves round to even


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({"rescale_type": "HU"}, "hu"),
        ({"modality": "CT"}, "hu"),
        ({"modality": "CT", "rescale_type": "US"}, "percentile"),  # a CT that says it is not in HU
        ({"modality": "CT", "rescaled": False}, "percentile"),  # PS3.3, C.8.2.1: HU are what a rescale gives
        ({"windows": ((100.0, 50.0), (7.0, 7.0))}, "dicom"),
        ({}, "percentile"),
    ],
)
def test_auto_takes_what_the_file_is_calibrated_for(changes, used):
    assert windowed(header(**changes), pixels([[90, 110, 300]], low=-1024.0), mode="auto", **LUNG)[1] == used


@pytest.mark.parametrize("windows", [(), ((100.0, 50.0),)])
def test_values_that_cannot_be_below_zero_are_not_in_hounsfield(windows):
    # Air has -1,000 HU. The lung window would leave an image nearly white.
    seen = to_uint8(header(rescale_type="HU", windows=windows), pixels([[90, 110, 300]]), mode="auto", **LUNG)
    assert seen.window == ("dicom" if windows else "percentile")
    assert seen.notes == ("The file says HU, but no value can be below 0, as air is: the lung window is not used.",)


def test_hu_window_by_hand():
    # Centre -600, width 1500: black at -600.5 - 749.5 = -1350 and below, white above 149.
    values = np.array([[-2000, -1350, -600, 149, 150]], np.float32)
    image, used = windowed(header(rescale_type="HU"), pixels(values, low=-2000.0), mode="auto", **LUNG)
    # -600: (-600 + 600.5) / 1499 + 0.5 = 0.50033, times 255 = 127.6
    assert (image.tolist(), used) == ([[0, 0, 128, 255, 255]], "hu")


def test_the_first_window_of_the_file_counts():
    # Centre 100, width 51: black up to 74.5, white above 124.5; 87 and 112 lie a quarter from either end.
    head = header(windows=((100.0, 51.0), (5.0, 9.0)))
    image, _ = windowed(head, pixels([[74, 87, 112, 125]]), mode="dicom", **LUNG)
    assert image.tolist() == [[0, 64, 191, 255]]


@pytest.mark.parametrize(("choice", "wanted"), [(1, 64), (2, 255), (9, 255)])
def test_another_window_of_the_file_can_be_chosen(choice, wanted):
    # 87 lies a quarter up the first window, above the second; where there is no such window the last one counts.
    head = header(windows=((100.0, 51.0), (5.0, 9.0)))
    image, _ = windowed(head, pixels([[87, 0]]), mode="auto", choice=choice, **LUNG)
    assert image.tolist() == [[wanted, 0]]


def test_another_voi_lut_of_the_file_can_be_chosen():
    luts = tuple(Lut(first=0, table=np.array(table, np.uint16), bits=8) for table in ([1, 2], [3, 4]))
    assert windowed(header(), pixels([[0, 1]], voi_luts=luts), mode="auto", choice=2, **LUNG)[0].tolist() == [[3, 4]]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_a_window_of_the_file_on_values_below_zero(dtype):
    # Centre -100, width 101: black up to -150.5, white above -50.5; -125.5 is a quarter up, -125 255 * 25.5 / 100 = 65.
    head = header(signed=True, windows=((-100.0, 101.0),))
    values = np.array([[-151, -125, -100, -50, 70_000 if dtype != np.int16 else 7]], dtype)
    image, used = windowed(head, pixels(values, -32768, 32767), mode="auto", **LUNG)
    # -100: (-100 + 100.5) / 100 + 0.5 = 0.505, times 255 = 128.8
    assert (image.tolist(), used) == ([[0, 65, 129, 255, 255]], "dicom")


def test_voi_lut_goes_before_the_window():
    lut = Lut(first=10, table=np.array([0, 1023, 512], np.uint16), bits=10)
    head = header(windows=((100.0, 50.0),))
    image, used = windowed(head, pixels([[3, 10, 11, 12, 99]], voi_luts=(lut,)), mode="auto", **LUNG)
    # Below the table its first entry, above it its last; 512 / 1023 * 255 = 127.6.
    assert (image.tolist(), used) == ([[0, 0, 255, 128, 128]], "voi_lut")


def test_percentiles_leave_padding_out_and_paint_it_black():
    values = np.array([[9999, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90]])
    image, _ = windowed(
        header(photometric="MONOCHROME1"),
        pixels(values, padding=values == 9999),
        mode="percentile",
        center=0,
        width=1,
        percentiles=(10, 90),
    )
    # Of ten values 10% lie at or below 0 and 90% at or below 80, and the picture is a negative.
    assert image.tolist() == [[0, 255, 223, 191, 159, 128, 96, 64, 32, 0, 0]]


def test_none_maps_the_range_the_file_could_hold():
    image, used = windowed(header(bits_stored=12), pixels([[0, 1024, 4095]], 0, 4095), mode="none", **LUNG)
    assert (image.tolist(), used) == ([[0, 64, 255]], "none")


def test_nearly_constant_pixels_do_not_divide_by_zero():
    values = np.full((100, 100), 7)
    values[0, 0] = 9
    image, _ = windowed(header(), pixels(values), mode="percentile", **LUNG)
    assert image[0, 0] == 255
    assert image[1, 1] == 0


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="got 'lung'"):
        windowed(header(), pixels([[1, 2]]), mode="lung", **LUNG)


def test_impossible_percentiles_are_refused():
    with pytest.raises(ValueError, match="0 <= low < high <= 100"):
        percentile_range(np.array([1, 2]), (99, 1))


def test_percentiles_of_large_unsigned_values():
    assert percentile_range(np.array([4_000_000_000, 4_000_000_009], np.uint32), (50, 100)) == (4e9, 4e9 + 9)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=50), st.integers(0, 49), st.integers(51, 100))
def test_percentiles_by_counting_equal_numpys(values, low, high):
    wanted = np.percentile(values, [low, high], method="inverted_cdf")
    assert percentile_range(np.array(values, np.int16), (low, high)) == tuple(wanted)


@given(st.lists(st.integers(-2000, 2000), min_size=2, max_size=50, unique=True), st.sampled_from(["hu", "percentile"]))
def test_brighter_values_never_become_darker(values, mode):
    ordered = np.sort(np.array([-3000, *values, 3000], np.int16))[None]  # more than one grey value is left
    image, _ = windowed(header(), pixels(ordered), mode=mode, **LUNG)
    assert (np.diff(image[0].astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("changes", "mode", "why"),
    [
        (
            {"windows": ((900.0, 10.0),)},
            "auto",
            "WindowCenter and WindowWidth: window dicom (center 900, width 10) makes every pixel 0",
        ),
        (
            {"windows": ((-900.0, 10.0), (100.0, 400.0))},
            "dicom",
            "WindowCenter and WindowWidth: window dicom (center -900, width 10)",
        ),
        ({"photometric": "MONOCHROME1", "windows": ((900.0, 10.0),)}, "auto", "makes every pixel 255 of 255"),
        ({"rescale_type": "HU"}, "auto", "window hu (center -600, width 1500) makes every pixel 255"),
    ],
)
def test_an_image_of_one_grey_value_is_refused(changes, mode, why):
    # Its pixels differ, but the window does not show it: another window of the file would be a guess.
    with pytest.raises(StudyError, match=re.escape(why)) as caught:
        to_uint8(header(**changes), pixels([[190, 210, 300]], low=-1024.0), mode=mode, **LUNG)
    assert caught.value.reason == Reason.CONSTANT_PIXELS


def test_one_grey_value_but_for_the_padding_is_refused():
    values = np.array([[0, 0, 190, 210]])
    with pytest.raises(StudyError, match="makes every pixel 255"):
        to_uint8(header(windows=((100.0, 10.0),)), pixels(values, padding=values == 0), mode="auto", **LUNG)


def test_a_table_that_begins_beyond_the_pixels_is_refused():
    lut = Lut(first=40000, table=np.arange(100, dtype=np.uint16), bits=8)
    with pytest.raises(StudyError, match="VOILUTSequence: window voi_lut"):
        to_uint8(header(), pixels([[190, 210]], voi_luts=(lut,)), mode="auto", **LUNG)


def test_what_a_rendering_says_of_itself():
    head = header(windows=((100.0, 51.0),), photometric="MONOCHROME1", notes=("a",))
    seen = to_uint8(head, pixels([[74, 87, 112, 125]], decoder="rle", notes=("a", "b")), mode="dicom", choice=2, **LUNG)
    assert (seen.decoder, seen.window, seen.center, seen.width, seen.inverted) == ("rle", "dicom", 100, 51, True)
    assert seen.notes == ("a", "b", "The file has fewer windows than the chosen number: its last is used.")
    assert seen.image.tolist() == [[255, 191, 64, 0]]
    assert seen.header is head


@pytest.mark.parametrize(("slope", "intercept"), [("1e-12", "1e10"), ("-1e-30", "1e6"), ("1e-300", "0.1")])
@pytest.mark.parametrize("mode", ["auto", "percentile", "none"])
def test_values_that_a_rescale_makes_equal_are_refused_by_its_name(mode, slope, intercept):
    data = encode(dataset(RAMP.astype(np.uint16) * 200, RescaleSlope=slope, RescaleIntercept=intercept))
    with pytest.raises(StudyError, match=r"RescaleSlope|RescaleIntercept"):
        study_to_uint8(data, mode=mode, **LUNG)
