"""Augmentation against what can be worked out by hand, and what must hold for any draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumonia.training.augmentation import Augmentation

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


@pytest.mark.parametrize(("name", "value"), [("flip", 1.5), ("rotation", 180.0), ("scale", 1.0), ("contrast", -0.1)])
def test_impossible_values(name, value):
    with pytest.raises(ValueError, match=name):
        with_only(**{name: value})
