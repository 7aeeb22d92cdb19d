"""PNG and JPEG as DICOM: the same grey values by other readers, what the header says, and what is refused."""

import hashlib
import io
import shutil
import subprocess

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from tests.foreign_sets import WINDOW, grey, picture

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.sources.foreign import pictures
from pneumonia.sources.foreign.marked import Facts


def png(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def jpeg(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def stored(data: bytes) -> np.ndarray:
    return pydicom.dcmread(io.BytesIO(data)).pixel_array


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_keeps_its_values_and_its_bits(bits):
    made = pictures.wrap(picture(rows=31, columns=33, bits=bits), "a", Facts())  # an odd number of bytes
    assert (stored(made) == grey(31, 33, bits)).all()
    assert pydicom.dcmread(io.BytesIO(made)).BitsStored == bits


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_every_way_to_write_grey_in_a_png_is_one(mode):
    values = grey(20, 30) // 128 * 255 if mode == "1" else grey(20, 30)
    made = png(Image.fromarray(values).convert(mode))
    assert (stored(pictures.wrap(made, "a", Facts())) == values).all()


def test_a_grey_baseline_jpeg_is_put_in_as_it_is():
    data = jpeg(Image.fromarray(grey(24, 40)))
    made = pictures.wrap(data, "a", Facts())
    header = pydicom.dcmread(io.BytesIO(made))
    assert header.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert data in made
    assert (header.LossyImageCompression, header.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert (study_to_uint8(made, **WINDOW).image == cv2.imdecode(np.frombuffer(data, np.uint8), 0)).all()


@pytest.mark.parametrize("options", [{"progressive": True}, {"mode": "RGB"}])
def test_another_grey_jpeg_is_decoded_and_said_to_be_lossy(options):
    image = Image.fromarray(grey(24, 40)).convert(options.pop("mode", "L"))
    data = jpeg(image, **options)
    made = pictures.wrap(data, "a", Facts())
    header = pydicom.dcmread(io.BytesIO(made))
    assert header.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert header.LossyImageCompression == "01"
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (header.pixel_array == decoded.reshape(24, 40, -1)[..., 0]).all()


def test_what_is_known_is_in_the_header_and_nothing_else():
    header = pydicom.dcmread(io.BytesIO(pictures.wrap(picture(), "a", Facts("p7", "F", "57", "PA", "0.15"))))
    assert (header.PatientSex, header.PatientAge, header.ViewPosition) == ("F", "057Y", "PA")
    assert header.PixelSpacing == [0.15, 0.15]
    assert (header.PatientID, header.PatientName) == ("", "")
    unknown = pydicom.dcmread(io.BytesIO(pictures.wrap(picture(), "a", Facts())))
    assert (unknown.PatientSex, unknown.ViewPosition) == ("", "")
    assert "PatientAge" not in unknown
    assert "PixelSpacing" not in unknown


def test_the_same_picture_gives_the_same_bytes_and_another_study_other_uids():
    one, again, other = (pictures.wrap(picture(), study, Facts()) for study in "aab")
    assert one == again
    uids = {pydicom.dcmread(io.BytesIO(made)).SOPInstanceUID for made in (one, other)}
    assert len(uids) == 2
    number = int.from_bytes(hashlib.sha256(b"instance a").digest()[:16], "big")
    assert f"2.25.{number}" in uids


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(Image.fromarray(grey()), exif=exif)


def coloured() -> bytes:
    image = np.stack([grey()] * 3, axis=-1)
    image[3, 4] = 10, 20, 30
    return png(Image.fromarray(image))


def transparent() -> bytes:
    image = np.dstack([grey(), np.full_like(grey(), 255)])
    image[0, 0, 1] = 254
    return png(Image.fromarray(image, "LA"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (turned(), "its EXIF orientation is 6"),
        (coloured(), "it has colours"),
        (transparent(), "partly transparent"),
        (picture()[:200], "cannot be decoded|no readable"),
        (b"GIF89a" + b"\0" * 100, "no readable PNG or JPEG"),
        (b"", "no readable PNG or JPEG"),
    ],
    ids=["turned", "coloured", "transparent", "cut short", "gif", "empty"],
)
def test_what_is_no_image_of_grey_values_is_refused(data, said):
    with pytest.raises(ValueError, match=said):
        pictures.wrap(data, "a", Facts())


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_dcmtk_and_dicom3tools_take_the_files(tmp_path, suffix):
    if not shutil.which("dcmj2pnm") or not shutil.which("dciodvfy"):
        pytest.skip("dcmtk or dicom3tools is not installed")
    path = tmp_path / "a.dcm"
    data = picture(suffix)
    path.write_bytes(pictures.wrap(data, "a", Facts("", "F", "57", "", "")))
    checked = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
    assert [line for line in checked.splitlines() if line.startswith("Error")] == []
    subprocess.run(["dcmj2pnm", "--write-raw-pnm", path, tmp_path / "a.pgm"], check=True, capture_output=True)
    seen = cv2.imread(str(tmp_path / "a.pgm"), cv2.IMREAD_UNCHANGED)
    assert np.abs(seen.astype(int) - cv2.imdecode(np.frombuffer(data, np.uint8), 0)).max() <= (suffix == ".jpg")
