"""How both detectors run batches of images."""

import numpy as np
import pytest

from pneumonia.models import detectors


def test_parts_are_filled_to_powers_of_two_and_results_stay_in_order():
    seen = []

    def run(part):
        seen.append(len(part))
        return [int(image[0, 0]) for image in part]

    images = np.arange(1, 12, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    assert detectors.filled_batches(images, 8, 8, run) == list(range(1, 12))
    assert seen == [8, 4]  # three left over are filled up to four


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"images must be \[B, 8, 8\], got \[2, 8, 9\]"):
        detectors.filled_batches(np.zeros((2, 8, 9), np.uint8), 8, 8, list)
