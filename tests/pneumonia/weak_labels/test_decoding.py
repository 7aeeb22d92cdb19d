"""PNG and JPEG of every kind to 8 bits of grey, or a word why not."""

import io

import numpy as np
import pytest
from PIL import Image

from pneumonia.weak_labels.decoding import Refused, grey

RAMP = np.arange(64 * 48, dtype=np.uint32).reshape(48, 64) * 255 // (64 * 48 - 1)  # 0 to 255


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def plain() -> Image.Image:
    return Image.fromarray(RAMP.astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_grey_in_any_number_of_channels(mode: str):
    np.testing.assert_array_equal(grey(encoded(plain().convert(mode))), RAMP)


def test_a_palette_and_black_and_white():
    np.testing.assert_array_equal(grey(encoded(plain().convert("P"))), RAMP)
    assert np.unique(grey(encoded(plain().point(lambda v: 255 * (v > 99)).convert("1")))).tolist() == [0, 255]


def test_sixteen_bits_by_their_whole_range():
    values = np.zeros((40, 40), np.uint16)
    values[0, :4] = 65535, 32768, 257, 128
    assert grey(encoded(Image.fromarray(values)))[0, :5].tolist() == [255, 128, 1, 0, 0]


def test_a_jpeg_of_grey_and_of_equal_channels():
    for mode in ("L", "RGB"):
        assert np.abs(grey(encoded(plain().convert(mode), "JPEG", quality=95)).astype(int) - RAMP).max() <= 6


def test_a_jpeg_that_lies_on_its_side_is_turned_as_it_says():
    exif = Image.Exif()
    exif[274] = 6  # the first row is the right side
    assert grey(encoded(plain(), "JPEG", exif=exif)).shape == (64, 48)


def colour() -> Image.Image:
    return Image.merge("RGB", [plain(), plain().point(lambda v: 255 - v), plain()])


def transparent() -> Image.Image:
    return Image.merge("RGBA", [plain()] * 4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encoded(colour()), "colour"),
        (encoded(transparent()), "transparent"),
        (encoded(plain())[:-400], "unreadable"),
        (encoded(plain(), "JPEG")[:-300], "unreadable"),
        (b"", "unreadable"),
        (encoded(plain(), "BMP"), "unreadable"),
        (encoded(plain().resize((31, 400))), "too_small"),
        (encoded(Image.new("1", (9000, 9000))), "too_large"),
        (encoded(Image.new("L", (40, 40), 7)), "constant_pixels"),
        (encoded(Image.fromarray((RAMP * 16).astype(np.uint16))), "depth"),  # 12 bits of 16: white is not known
    ],
    ids=["colour", "transparent", "cut png", "cut jpeg", "empty", "bmp", "small", "large", "constant", "12 bits"],
)
def test_what_cannot_be_used_says_why(content: bytes, reason: str):
    with pytest.raises(Refused) as caught:
        grey(content)
    assert caught.value.reason == reason
