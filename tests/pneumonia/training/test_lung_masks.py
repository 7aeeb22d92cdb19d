"""Black outside of two drawn lungs."""

import numpy as np

from pneumonia.training.augmentation import Augmentation
from pneumonia.training.lung_masks import LungMasks, draw

NOTHING = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
NO_BOXES = np.zeros((0, 4), np.float32)
GREY = np.full((64, 64), 99, np.uint8)


def test_two_lungs_lie_left_and_right_of_a_black_middle():
    for seed in range(20):
        mask = draw(128, np.random.default_rng(seed))
        assert 0.2 < mask.mean() < 0.55
        assert mask[60, [37, 91]].all()
        assert not mask[60, 64]
        assert not mask[[0, -1]].any()
    assert not np.array_equal(draw(128, np.random.default_rng(1)), draw(128, np.random.default_rng(2)))


def test_what_is_outside_is_black_and_what_is_inside_as_it_was():
    rng = np.random.default_rng(3)
    image, boxes, kept = LungMasks(NOTHING, 1.0)(GREY, NO_BOXES, rng)
    assert set(np.unique(image)) == {0, 99}
    assert (boxes.shape, kept.shape) == ((0, 4), (0,))


def test_without_a_mask_it_is_the_augmentation_to_the_bit():
    plain = Augmentation(0.5, 5.0, 0.05, 0.1, 0.1, 0.2)
    ramp = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64).astype(np.uint8)
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(3):
        np.testing.assert_array_equal(LungMasks(plain, 0.0)(ramp, NO_BOXES, one)[0], plain(ramp, NO_BOXES, other)[0])
