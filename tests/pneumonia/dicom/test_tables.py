"""Lookup tables, and descriptors that the data contradict."""

import struct

import numpy as np
import pytest
from tests.dicom_files import RAMP, dataset, element, read_pixels, rejected, with_elements

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.rejection import StudyError

AUTO = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": (0.5, 99.5)}


def table(entries, first, bits, data, *, vr="US", data_vr="US"):
    """A VOI LUT item as bytes: descriptor and data as they are given; None leaves an element out."""
    parts = []
    if entries is not None:
        parts.append(element("LUTDescriptor", vr, struct.pack("<HHH", entries % 65536, first % 65536, bits)))
    if data is not None:
        parts.append(
            element("LUTData", data_vr, data if isinstance(data, bytes) else np.asarray(data, "<u2").tobytes())
        )
    item = b"".join(parts)
    return b"\xfe\xff\0\xe0" + struct.pack("<L", len(item)) + item


def voi(*items, made=None, **elements):
    made = dataset(**elements) if made is None else made
    return with_elements(made, element("VOILUTSequence", "SQ", b"".join(items)))


RISING = np.arange(48) * 80 + 200  # to 3960: 12 bits


class TestTables:
    """Descriptors that the data contradict (PS3.3, C.11.1.1.1 and C.11.2.1.1)."""

    def test_of_fewer_bits_than_declared(self):
        # Horos, Cornerstone and dcm2pnm +Mv take the bits that the data need; by the letter it is nearly black.
        seen = study_to_uint8(voi(table(48, 0, 16, RISING)), **AUTO)
        # 200 / 4095 * 255 = 12.5 (to even), 3960 / 4095 * 255 = 246.6
        assert (seen.image.min(), seen.image.max(), seen.window) == (12, 247, "voi_lut")
        assert seen.notes == (
            "LUTDescriptor of VOILUTSequence says 16 bits, LUTData has values of 12, which are taken.",
        )

    @pytest.mark.parametrize(
        ("top", "bits", "grey"), [(40000, 16, 156), (20000, 16, 78), (32767, 16, 255), (2047, 12, 255)]
    )
    def test_a_table_may_be_dim_but_not_by_a_factor_of_four(self, top, bits, grey):
        # 40000 / 65535 * 255 = 155.6; 20000 / 65535 * 255 = 77.8; 2^15 - 1 and 2^11 - 1 fill fewer bits.
        seen = study_to_uint8(voi(table(48, 0, bits, np.linspace(0, top, 48).astype(int))), **AUTO)
        assert seen.image.max() == grey

    def test_of_more_bits_than_declared(self):
        seen = study_to_uint8(voi(table(48, 0, 10, RISING)), **AUTO)
        assert (np.diff(seen.image.ravel().astype(int)) > 0).all()
        assert (seen.image.min(), seen.image.max()) == (12, 247)
        wild = RISING.copy()
        wild[7] = 0
        assert (
            rejected(voi(table(48, 0, 10, wild)))
            == "LUTDescriptor of VOILUTSequence: found 10 bits beside values of 12; wanted 12 bits"
        )

    @pytest.mark.parametrize("vr", ["US", "SS", "UN", "OW"])
    def test_its_first_value_has_the_sign_of_the_values(self, vr):
        made = dataset(RAMP + np.uint16(40000))
        (found,) = read_pixels(voi(table(48, 40000, 12, RISING, vr=vr), made=made)).voi_luts
        assert found.first == 40000
        made = dataset(RAMP.astype(np.int16) - 40)
        (found,) = read_pixels(voi(table(48, -40, 12, RISING, vr=vr), made=made)).voi_luts
        assert found.first == -40

    def test_a_first_value_that_may_be_either(self):
        # After the rescale from -1024 to 64511: 40000 is possible, and so is -25536.
        made = dataset(RAMP, RescaleSlope=1, RescaleIntercept=-1024)
        assert rejected(voi(table(48, 40000, 12, RISING), made=made)).startswith(
            "LUTDescriptor of VOILUTSequence: found first"
        )

    @pytest.mark.parametrize("data", [None, b""])
    @pytest.mark.parametrize("entries", [None, 48])
    def test_without_values_beside_a_window(self, data, entries):
        item = table(entries, 0, 12, data)
        seen = study_to_uint8(voi(item, WindowCenter=20, WindowWidth=30), **AUTO)
        assert (seen.window, seen.center, seen.width) == ("dicom", 20, 30)
        assert seen.notes == ("VOILUTSequence has an item that is not readable: the window is used.",)
        assert rejected(voi(item)).startswith("VOILUTSequence: found an item without")
        both = study_to_uint8(voi(item, table(48, 0, 12, RISING)), **AUTO)
        assert (both.window, both.image.max()) == ("voi_lut", 247)

    def test_a_sequence_without_items(self):
        seen = study_to_uint8(voi(WindowCenter=20, WindowWidth=30), **AUTO)
        assert (seen.window, seen.notes) == ("dicom", ("VOILUTSequence has no items and counts as absent.",))

    @pytest.mark.parametrize(
        ("entries", "bits", "data", "why"),
        [
            (48, 12, RISING[:40], "LUTData of VOILUTSequence: found 40 entries; wanted 48, as LUTDescriptor says"),
            (20, 12, RISING, "LUTData of VOILUTSequence: found 48 entries; wanted 20, as LUTDescriptor says"),
            (0, 12, RISING, "LUTData of VOILUTSequence: found 48 entries; wanted 65,536, as LUTDescriptor says"),
            (48, 12, bytes(range(48)), "LUTData of VOILUTSequence: found 24 entries; wanted 48, as LUTDescriptor says"),
            (48, 0, RISING, "LUTDescriptor of VOILUTSequence: found 0 bits; wanted 8 to 16"),
            (48, 99, RISING, "LUTDescriptor of VOILUTSequence: found 99 bits; wanted 8 to 16"),
        ],
    )
    def test_of_a_wrong_length(self, entries, bits, data, why):
        assert rejected(voi(table(entries, 0, bits, data))) == why

    @pytest.mark.parametrize(("vr", "entries"), [("OW", 48), ("OB", 48), ("US", 48), ("UN", 47)])
    def test_bytes_instead_of_words(self, vr, entries):
        (found,) = read_pixels(voi(table(entries, 0, 8, bytes(range(100, 148)), data_vr=vr))).voi_luts
        assert found.table.tolist() == [*range(100, 100 + entries)]

    def test_one_entry_too_many(self):
        (found,) = read_pixels(voi(table(47, 0, 12, RISING))).voi_luts
        assert len(found.table) == 47

    def test_of_the_modality(self):
        item = table(48, 0, 12, RISING)
        made = dataset(RescaleSlope=2, RescaleIntercept=0)
        pixels = read_pixels(with_elements(made, element("ModalityLUTSequence", "SQ", item)))
        assert (pixels.values[0, 0], pixels.notes) == (
            200,
            ("ModalityLUTSequence stands beside a rescale: the table is used.",),
        )

    @pytest.mark.parametrize("bad", [table(48, 0, 12, None), table(48, 0, 12, RISING[:40]), table(48, 0, 99, RISING)])
    def test_of_the_modality_that_is_not_readable(self, bad):
        def pixels(made, *items):
            return read_pixels(with_elements(made, element("ModalityLUTSequence", "SQ", b"".join(items))))

        good = table(48, 0, 12, RISING)
        rescaled = dataset(RescaleSlope=2, RescaleIntercept=0)
        assert pixels(rescaled, bad).values[5, 7] == 94
        assert pixels(rescaled, bad, good).values[0, 0] == 200  # another table is read first
        empty = dataset(RescaleSlope="", RescaleIntercept="")  # there is nothing to fall back on
        for made in (dataset(), empty):
            with pytest.raises(StudyError, match=r"^unreadable: (LUT\w+ of )?ModalityLUTSequence: found"):
                pixels(made, bad)
