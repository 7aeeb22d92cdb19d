"""A viewer that applies the presentation state, and nothing but it, shows the picture that the models saw."""

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from tests.dicom_files import dataset, encode, lut
from tests.places import SHARED
from tests.pneumonia.dicom.grammar import WINDOW, draw
from tests.radiographs import image

pytest.importorskip("highdicom")

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.reading_room.objects.findings import Algorithm, Findings
from pneumonia.reading_room.objects.grey import pipeline
from pneumonia.reading_room.objects.make import make, write
from pneumonia.reading_room.objects.presentation import presentation_state
from pneumonia.reading_room.objects.source import read_source
from pneumonia.rejection import StudyError

ALGORITHM = Algorithm("1.2.3", "ab" * 32, "gate")
NOTHING = Findings(np.zeros((0, 4)), np.zeros(0), 0.125, 0.25)
NATIVE = ("explicit", "implicit", "big", "deflated")


def state_of(data, **window):
    """The elements of a state that decide grey values."""
    return pipeline(data, study_to_uint8(data, **(WINDOW | window)), window.get("choice", 1))


def voi(data, **window):
    (item,) = state_of(data, **window).SoftcopyVOILUTSequence
    return item


def by_dcmtk(path, *options):
    """Grey values as dcmtk shows them; None where it cannot read the file."""
    picture = path.with_suffix(".pgm")
    picture.unlink(missing_ok=True)
    subprocess.run(["dcmp2pgm", "-q", *options, path, picture], capture_output=True, check=False)
    return cv2.imread(str(picture), cv2.IMREAD_UNCHANGED).astype(int) if picture.is_file() else None


def native(path, folder):
    """The file without compression, which dcmp2pgm does not read."""
    made = dcmread(path)
    syntax, result = made.file_meta.TransferSyntaxUID, folder / "native.dcm"
    if not syntax.is_compressed:
        return Path(shutil.copy(path, result))
    tool = {"JPEG Base": "dcmdjpeg", "JPEG Loss": "dcmdjpeg", "JPEG-LS L": "dcmdjpls"}.get(syntax.name[:9])
    if tool:
        subprocess.run([tool, path, result], check=True)
    else:
        made.decompress()
        made.save_as(result)
    return result


def test_a_rescale_is_said_as_it_was_read():
    plain = state_of(
        encode(dataset(RescaleSlope=2, RescaleIntercept=-10, RescaleType="HU", WindowCenter=40, WindowWidth=90)),
        mode="dicom",
    )
    assert (plain.RescaleSlope, plain.RescaleIntercept, plain.RescaleType) == (2, -10, "HU")
    made = encode(dataset(RescaleSlope="1.5", RescaleIntercept="-10.25", WindowCenter=30, WindowWidth=70))
    comma = state_of(made.replace(b"-10.25", b"-10,25").replace(b"1.5 ", b"1,5 "))
    assert (comma.RescaleSlope, comma.RescaleIntercept, comma.RescaleType) == (1.5, -10.25, "US")
    assert "RescaleSlope" not in state_of(encode(dataset(WindowCenter=30, WindowWidth=70)))


def test_one_window_is_said_that_the_models_saw():
    two = encode(dataset(WindowCenter=[20, 30], WindowWidth=[40, 50]))
    assert (voi(two).WindowCenter, voi(two).WindowWidth) == (20, 40)
    assert (voi(two, choice=2).WindowCenter, voi(two, choice=2).WindowWidth) == (30, 50)
    assert "VOILUTFunction" not in voi(two)
    bad = encode(dataset(WindowCenter=[20, 30], WindowWidth=[40, 50])).replace(b"20.0", b"x0.0")
    assert (voi(bad).WindowCenter, voi(bad).WindowWidth) == (30, 50)
    hounsfield = encode(
        dataset(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU", WindowCenter=-1000, WindowWidth=40)
    )
    lung = voi(hounsfield, center=-1000.0, width=60.0)
    assert (lung.WindowCenter, lung.WindowWidth) == (-1000, 60)


def test_a_window_is_said_by_the_function_that_every_viewer_knows():
    exact = voi(encode(dataset(WindowCenter=20, WindowWidth=40, VOILUTFunction="LINEAR_EXACT")))
    # LINEAR: (x - (c - 0.5)) / (w - 1) + 0.5; so 20.5 and 41 are the line (x - 20) / 40 + 0.5.
    assert (exact.WindowCenter, exact.WindowWidth, "VOILUTFunction" in exact) == (20.5, 41, False)
    curve = voi(encode(dataset(WindowCenter=20, WindowWidth=40, VOILUTFunction="SIGMOID")))
    assert (curve.WindowCenter, curve.WindowWidth, curve.VOILUTFunction) == (20, 40, "SIGMOID")
    stretched = voi(encode(dataset(BitsStored=12, HighBit=11)), percentiles=(25, 75))  # of 0 to 47: 11 and 35
    assert (stretched.WindowCenter, stretched.WindowWidth) == (23.5, 25)


def test_a_table_is_said_with_entries_of_16_bits():
    table = [0, 100, 4095]
    found = voi(encode(dataset(VOILUTSequence=lut(10, table, 12)))).VOILUTSequence[0]
    assert found.LUTDescriptor == [3, 10, 16]
    assert np.frombuffer(found.LUTData, "<u2").tolist() == [0, 1600, 65535]  # 100 / 4095 of 65,535: 1,600.4
    several = encode(dataset(VOILUTSequence=lut(10, table, 12) + lut(20, table, 12)))
    assert [voi(several, choice=number).VOILUTSequence[0].LUTDescriptor[1] for number in (1, 2, 3)] == [10, 20, 20]
    below = voi(encode(dataset(RescaleSlope=1, RescaleIntercept=-30, VOILUTSequence=lut(2**16 - 5, [0, 7, 255], 8))))
    assert below.VOILUTSequence[0].LUTDescriptor == [3, -5, 16]
    assert np.frombuffer(below.VOILUTSequence[0].LUTData, "<u2").tolist() == [0, 1799, 65535]
    numbers = state_of(
        encode(dataset(ModalityLUTSequence=lut(0, list(range(0, 480, 10)), 16), WindowCenter=200, WindowWidth=300))
    )
    (item,) = numbers.ModalityLUTSequence
    assert np.frombuffer(item.LUTData, "<u2")[[0, 1, 47]].tolist() == [0, 1394, 65535]  # 10 of 470: 1,394.4 of 65,535
    assert (item.LUTDescriptor[2], item.ModalityLUTType) == (16, "US")
    (window,) = numbers.SoftcopyVOILUTSequence  # 199.5 and 299, times 65,535 / 470
    assert (window.WindowCenter, window.WindowWidth) == (
        pytest.approx(27818.1, abs=0.1),
        pytest.approx(41692.5, abs=0.1),
    )


@pytest.mark.parametrize("tool", ["dciodvfy", "dcmp2pgm"])
@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
@pytest.mark.parametrize(
    "grey",
    [
        {"WindowCenter": 0.4, "WindowWidth": 0.3},
        {"WindowCenter": 0.4, "WindowWidth": 0.3, "VOILUTFunction": "LINEAR_EXACT"},
        {"VOILUTSequence": (0.1, [0, 40, 90, 255])},
    ],
)
def test_a_modality_table_of_any_depth_is_legal_and_shown(tmp_path, grey, bits, tool):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    top = 2**bits - 1
    table = np.linspace(0, top, 256).round().astype(int).tolist()
    if "VOILUTSequence" in grey:
        first, entries = grey["VOILUTSequence"]
        own = {"VOILUTSequence": lut(int(first * top), np.repeat(entries, top // 8).tolist(), 8)}
    else:
        own = {name: value * top if name.startswith("Window") else value for name, value in grey.items()}
    data = image(ModalityLUTSequence=lut(0, table, bits), **own)
    rendering = study_to_uint8(data, **WINDOW)
    (state,) = write(tmp_path, "state", {"pr": make(data, rendering.image, NOTHING, ALGORITHM)["pr"]})
    (tmp_path / "image.dcm").write_bytes(data)
    if tool == "dcmp2pgm":
        shown = by_dcmtk(tmp_path / "image.dcm", "-p", state)
        assert np.abs(shown - rendering.image).max() <= 1
    else:
        said = subprocess.run([tool, "-new", state], capture_output=True, text=True, check=False)
        assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []


def test_polarity_is_that_of_the_picture():
    assert state_of(encode(dataset(WindowCenter=20, WindowWidth=40))).PresentationLUTShape == "IDENTITY"
    inverse = encode(
        dataset(
            WindowCenter=20, WindowWidth=40, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY"
        )
    )
    assert state_of(inverse).PresentationLUTShape == "INVERSE"


@pytest.mark.parametrize(
    ("elements", "name", "wanted"),
    [
        ({"PixelSpacing": ["0.2", "0.1"]}, "PresentationPixelSpacing", [0.2, 0.1]),
        ({"ImagerPixelSpacing": ["0.143", "0.143"]}, "PresentationPixelSpacing", [0.143, 0.143]),
        ({"PixelAspectRatio": ["4", "3"]}, "PresentationPixelAspectRatio", [4, 3]),
        ({"PixelSpacing": ["0", "0"]}, "PresentationPixelAspectRatio", [1, 1]),
        ({}, "PresentationPixelAspectRatio", [1, 1]),
    ],
)
def test_the_shape_of_a_pixel_is_said(elements, name, wanted):
    data = image(**elements)
    (area,) = make(data, study_to_uint8(data, **WINDOW).image, NOTHING, ALGORITHM)["pr"].DisplayedAreaSelectionSequence
    assert list(area[name].value) == wanted
    assert ("PresentationPixelSpacing" in area) != ("PresentationPixelAspectRatio" in area)
    assert (area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner) == ([1, 1], [64, 48])


@pytest.mark.skipif(shutil.which("dcmp2pgm") is None, reason="dcmp2pgm (dcmtk) is not installed")
def test_dcmtk_shows_by_the_state_what_the_models_saw(tmp_path):
    """Drawn headers in every mode of a window; left out is what dcmtk reads otherwise or not at all (see the grammar)."""
    rng, seen = np.random.default_rng(5), 0
    for _ in range(120):
        drawn = draw(rng)
        words = drawn.words
        if words["syntax"] not in NATIVE or words["rescale"] == "half" or words["vr"] != "none":
            continue
        if (words["sign"], words["high"]) == ("signed", "top"):
            continue
        for mode in ("auto", "hu", "percentile"):
            try:
                rendering = study_to_uint8(drawn.data, **(WINDOW | {"mode": mode}))
            except StudyError:
                continue
            if (
                rendering.window == "dicom" and rendering.header.window_function == "SIGMOID"
            ):  # dcmtk knows no such function
                continue
            source = read_source(image(SOPInstanceUID="1.2.3"))
            source.Rows, source.Columns = rendering.image.shape
            source.SamplesPerPixel = 1
            state = presentation_state(source, pipeline(drawn.data, rendering), rendering, NOTHING, ALGORITHM)
            state.save_as(tmp_path / "state.dcm")
            (tmp_path / "image.dcm").write_bytes(drawn.data)
            shown = by_dcmtk(tmp_path / "image.dcm", "-p", tmp_path / "state.dcm")
            differs = np.abs(shown - rendering.image)
            if words["padding"] != "none":  # painted black for the models
                differs = differs[1:][rendering.image[1:] > 0]
            assert differs.max(initial=0) <= 1, (mode, str(drawn))
            seen += 1
    assert seen > 80


@pytest.mark.skipif(shutil.which("dcmp2pgm") is None, reason="dcmp2pgm (dcmtk) is not installed")
@pytest.mark.parametrize("folder", ["cases/presentation", "dicom"])
def test_dcmtk_shows_real_images_the_same_with_the_state_and_without(tmp_path, folder):
    paths = sorted((SHARED / folder).glob("*.dcm"))
    if not paths:
        pytest.skip(f"../shared/{folder} is not there")
    for path in paths:
        data = path.read_bytes()
        rendering = study_to_uint8(data, **WINDOW)
        objects = make(data, rendering.image, NOTHING, ALGORITHM, rendering=rendering)
        (state,) = write(tmp_path, path.stem, {"pr": objects["pr"]})
        plain = by_dcmtk(native(path, tmp_path))
        shown = by_dcmtk(native(path, tmp_path), "-p", state)
        assert np.abs(shown - plain).max() <= 1, path.name
        if rendering.header.window_function != "SIGMOID":  # which dcmtk takes for a line, with the state and without
            assert np.abs(shown - rendering.image).max() <= 1, path.name
