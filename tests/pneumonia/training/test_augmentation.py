"""Augmentation against what can be worked out by hand, and what must hold for any draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumonia.training.augmentation import Augmentation, cut_out, mosaic

NOTHING = {"flip": 0.0, "rotation": 0.0, "translation": 0.0, "scale": 0.0, "brightness": 0.0, "contrast": 0.0}
DEFAULT = {"flip": 0.5, "rotation": 5.0, "translation": 0.05, "scale": 0.1, "brightness": 0.1, "contrast": 0.2}
NO_BOXES = np.zeros((0, 4), np.float32)


class Draws:
    """Stands for a generator: `flip` for the coin, then the six draws between -1 and 1."""

    def __init__(self, flip, *values):
        self.flip, self.values = flip, values

    def random(self):
        return self.flip

    def uniform(self, low, high, size):
        return np.array(self.values, float)


def with_only(**values):
    return Augmentation(**{**NOTHING, **values})


def bright_box(size, x1, y1, x2, y2):
    image = np.zeros((size, size), np.uint8)
    image[y1:y2, x1:x2] = 200
    return image, np.array([[x1, y1, x2, y2]], np.float32)


def bright_ellipse(size, x1, y1, x2, y2):
    rows, columns = np.mgrid[:size, :size] + 0.5
    inside = ((columns - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((rows - (y1 + y2) / 2) / (y2 - y1)) ** 2 <= 0.25
    return np.where(inside, 200, 0).astype(np.uint8), np.array([[x1, y1, x2, y2]], np.float32)


def extent(image):
    rows, columns = np.where(image > 100)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_nothing_asked_nothing_done():
    image, boxes = bright_box(32, 4, 8, 12, 20)
    new, moved, kept = with_only()(image, boxes, np.random.default_rng(0))
    np.testing.assert_array_equal(new, image)
    np.testing.assert_array_equal(moved, boxes)
    assert kept.tolist() == [True]


def test_flip_is_left_right():
    image, boxes = bright_box(32, 4, 8, 12, 20)
    new, moved, _ = with_only(flip=1.0)(image, boxes, np.random.default_rng(0))
    np.testing.assert_array_equal(new, image[:, ::-1])
    np.testing.assert_array_equal(moved, [[20, 8, 28, 20]])  # x: 32 - 12, 32 - 4


def test_translation_by_hand():
    image, boxes = bright_box(100, 20, 40, 50, 60)
    # 10% of 100 pixels, to the right by half of it and up by all of it
    draws = Draws(1.0, 0, 0.5, -1, 0, 0, 0)
    new, moved, _ = with_only(translation=0.1)(image, boxes, draws)
    np.testing.assert_allclose(moved, [[25, 30, 55, 50]])
    assert extent(new) == [25, 30, 55, 50]


def test_quarter_turn_carries_box_and_image():
    image, boxes = bright_box(100, 20, 40, 50, 60)
    new, moved, _ = with_only(rotation=90.0)(image, boxes, Draws(1.0, 1, 0, 0, 0, 0, 0))
    # Clockwise about the centre (50, 50): x' = 100 - y, y' = x
    np.testing.assert_allclose(moved, [[40, 20, 60, 50]], atol=0.6)
    np.testing.assert_allclose(extent(new), [40, 20, 60, 50], atol=1)


def test_zoom_about_the_centre():
    image, boxes = bright_box(100, 40, 40, 60, 60)
    new, moved, _ = with_only(scale=0.5)(image, boxes, Draws(1.0, 0, 0, 0, 1, 0, 0))
    np.testing.assert_allclose(moved, [[35, 35, 65, 65]], atol=0.6)
    np.testing.assert_allclose(extent(new), [35, 35, 65, 65], atol=1)


def test_brightness_and_contrast():
    image = np.full((8, 8), 100, np.uint8)
    brighter, _, _ = with_only(brightness=0.1)(image, NO_BOXES, Draws(1.0, 0, 0, 0, 0, 1, 0))
    assert np.unique(brighter).tolist() == [126]  # round(25.5) is 26 to the even number
    flatter, _, _ = with_only(contrast=0.5)(image, NO_BOXES, Draws(1.0, 0, 0, 0, 0, 0, -1))
    assert np.unique(flatter).tolist() in ([113], [114])  # 127 + 0.5 (100 - 127) = 113.5


def test_a_box_mostly_outside_goes():
    image = np.zeros((100, 100), np.uint8)
    boxes = np.array([[0, 40, 40, 60], [70, 40, 100, 60], [40, 40, 60, 60]], np.float32)
    # 25 pixels to the left: of the first 15 of 40 stay (37%), the others stay whole
    _, moved, kept = with_only(translation=0.25)(image, boxes, Draws(1.0, 0, -1, 0, 0, 0, 0))
    assert kept.tolist() == [False, True, True]
    np.testing.assert_allclose(moved, [[45, 40, 75, 60], [15, 40, 35, 60]])


def test_a_rectangle_is_cut_out():
    image = np.zeros((50, 100), np.uint8)
    image[:, :50] = 100
    boxes = np.array([[60, 0, 80, 15], [62, 0, 80, 15], [0, 0, 10, 10]], np.float32)
    # The largest, 30 x 15, in the upper right corner: x 70 to 100. It hides 10 of 20 columns of the first box, 10 of 18 of
    # the second.
    new, kept = cut_out(image, boxes, place=(1.0, 0.0), size=(1.0, 1.0))
    assert kept.tolist() == [True, False, True]
    expected = image.copy()
    expected[:15, 70:] = 50
    np.testing.assert_array_equal(new, expected)
    # The smallest, 10 x 5, in the middle of what is left: 45 to 55 and 22 (22.5, to the even number) to 27.
    new, _ = cut_out(image, NO_BOXES, place=(0.5, 0.5), size=(0.0, 0.0))
    rows, columns = np.where(new == 50)
    assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [45, 22, 55, 27]
    assert image.max() == 100  # the one that was given is as it was
    assert not (image == 50).any()


def test_cutout_is_a_probability_of_its_own():
    image, boxes = bright_box(32, 4, 8, 12, 20)
    changed = [(with_only(cutout=0.5)(image, boxes, np.random.default_rng(i))[0] != image).any() for i in range(200)]
    # A cut changes the image wherever it lies, since its grey is the mean; 100 of 200 but for three deviations.
    assert 79 <= sum(changed) <= 121


def test_a_mosaic_by_hand():
    images = np.stack([np.full((8, 12), grey, np.uint8) for grey in (10, 20, 30, 40)])
    boxes = [
        [[1, 1, 4, 3], [3, 0, 9, 3]],  # the first whole; of the second 2 x 3 of 6 x 3: gone
        [[4, 0, 8, 3]],  # 3 x 3 of 4 x 3: cut at x 5
        [[1, 2, 5, 4]],  # 4 x 1 of 4 x 2, just half: cut at y 3
        [[0, 0, 5, 3]],  # in the quadrant of the first image: gone
    ]
    image, kept = mosaic(images, [np.array(own, np.float32) for own in boxes], centre=(5, 3))
    assert np.unique(image[:3, :5]).tolist() == [10]
    assert np.unique(image[:3, 5:]).tolist() == [20]
    assert np.unique(image[3:, :5]).tolist() == [30]
    assert np.unique(image[3:, 5:]).tolist() == [40]
    assert kept.tolist() == [[1, 1, 4, 3], [5, 0, 8, 3], [1, 3, 5, 4]]


def test_a_mosaic_of_nothing():
    image, kept = mosaic(np.zeros((4, 6, 6), np.uint8), [NO_BOXES] * 4, centre=(3, 3))
    assert image.shape == (6, 6)
    assert kept.shape == (0, 4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), x=st.integers(8, 40), y=st.integers(8, 40))
def test_boxes_follow_what_they_hold(seed, x, y):
    image, boxes = bright_ellipse(96, x, y, x + 40, y + 30)
    augment = Augmentation(**{**DEFAULT, "brightness": 0.0, "contrast": 0.0})
    new, moved, kept = augment(image, boxes, np.random.default_rng(seed))
    again = augment(image, boxes, np.random.default_rng(seed))
    np.testing.assert_array_equal(new, again[0])
    np.testing.assert_array_equal(moved, again[1])
    assert new.shape == image.shape
    assert new.dtype == np.uint8
    assert kept.all()  # at most 5% and a tenth of zoom: never half of it leaves
    assert (moved >= 0).all()
    assert (moved <= 96).all()
    # The bounds of the ellipse, to a pixel of drawing and one of resampling; a box's corners would be 3.5 off (40 sin 5).
    seen = np.array(extent(new))
    assert (np.abs(moved[0] - seen) <= 2.0).all()


def test_always_the_same_number_of_draws():
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    image = np.zeros((16, 16), np.uint8)
    with_only()(image, NO_BOXES, first)
    Augmentation(**DEFAULT)(image, NO_BOXES, second)
    assert first.random() == second.random()
    never, always = (Augmentation(**DEFAULT, cutout=share) for share in (1e-9, 1.0))
    never(image, NO_BOXES, first)
    always(image, NO_BOXES, second)
    assert first.random() == second.random()


@pytest.mark.parametrize(
    ("name", "value"), [("flip", 1.5), ("cutout", -0.1), ("rotation", 180.0), ("scale", 1.0), ("contrast", -0.1)]
)
def test_impossible_values(name, value):
    with pytest.raises(ValueError, match=name):
        with_only(**{name: value})
