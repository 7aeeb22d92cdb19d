"""Placement and resizing of studies, against blocks of pixels worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumonia.data.images.squares import Placement, placement, resize_study


def test_placement_worked_out_by_hand():
    assert placement(1024, 1024, 256) == Placement(0.25, 0.0, 0.0)
    assert placement(1000, 600, 500) == Placement(0.5, 0.0, 100.0)  # (1000 - 600) / 2 * 0.5
    assert placement(3, 6, 12) == Placement(2.0, 2.0, 0.0)  # (6 - 3) // 2 = 1 pixel left, 2 right
    assert placement(100, 50, 100, aspect=2.0) == Placement(1.0, 0.0, 0.0, 2.0)  # 50 rows twice as high as wide


def test_placement_refuses_nothing_to_place():
    with pytest.raises(ValueError, match="at least 1, got 0, 5, 8"):
        placement(0, 5, 8)


def test_resizing_averages_and_pads_below_and_above():
    image = np.array([[0, 100, 200, 200], [100, 200, 200, 200]], np.uint8)  # 4 x 2 -> padded to 4 x 4 -> 2 x 2
    assert resize_study(image, 4).tolist() == [[0] * 4, [0, 100, 200, 200], [100, 200, 200, 200], [0] * 4]
    # Each output pixel is a 2 x 2 block of the padded image: (0 + 0 + 0 + 100) / 4 = 25, (200 + 200) / 4 = 100 ...
    assert resize_study(image, 2).tolist() == [[25, 100], [75, 100]]


def test_resizing_makes_pixels_square():
    image = np.repeat(np.uint8([[10], [90]]), 4, axis=1)  # 2 rows of pixels twice as high as wide: a square
    out = resize_study(image, 4, aspect=2.0)
    assert out.shape == (4, 4)
    assert out[0, 0] == 10
    assert out[-1, -1] == 90
    with pytest.raises(ValueError, match=r"aspect .* above 0, got -1"):
        resize_study(image, 4, aspect=-1)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_resizing_wants_one_grey_channel_of_8_bits(image):
    with pytest.raises(ValueError, match=r"uint8 \[rows, columns\], got"):
        resize_study(image, 8)


@settings(deadline=None, max_examples=40)
@given(columns=st.integers(60, 400), rows=st.integers(60, 400), size=st.sampled_from([64, 96, 200]), data=st.data())
def test_a_bright_rectangle_lies_where_its_box_is_mapped(columns, rows, size, data):
    """What a model sees and what it is told agree: the bright area's sum and centre follow the placement."""
    x, y = data.draw(st.integers(0, columns - 30)), data.draw(st.integers(0, rows - 30))
    width, height = data.draw(st.integers(20, columns - x)), data.draw(st.integers(20, rows - y))
    image = np.zeros((rows, columns), np.uint8)
    image[y : y + height, x : x + width] = 200
    mass = resize_study(image, size) / 200.0
    scale, pad_x, pad_y, _ = placement(columns, rows, size)
    centres = np.arange(size) + 0.5
    assert mass.sum() == pytest.approx(width * height * scale**2, rel=0.03)
    assert (mass.sum(0) * centres).sum() / mass.sum() == pytest.approx((x + width / 2) * scale + pad_x, abs=0.15)
    assert (mass.sum(1) * centres).sum() / mass.sum() == pytest.approx((y + height / 2) * scale + pad_y, abs=0.15)
