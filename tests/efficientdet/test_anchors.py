"""Anchors against numbers worked out by hand."""

import numpy as np
import pytest

from efficientdet.anchors import anchors, grids


def test_grids_are_rounded_up():
    assert grids(512) == [64, 32, 16, 8, 4]
    assert grids(192) == [24, 12, 6, 3, 2]
    assert grids(64) == [8, 4, 2, 1, 1]


def test_anchors_of_a_small_image():
    found = anchors(64, 4.0, (0.25, 1.0, 4.0))
    assert found.shape == ((64 + 16 + 4 + 1 + 1) * 9, 4)
    assert found.dtype == np.float32
    # P3, first cell: middle 4, 4. Area 32^2 at ratio 1/4: 16 wide, 64 high; then 32 x 32, then 64 x 16.
    np.testing.assert_allclose(found[:3], [[-4, -28, 12, 36], [-12, -12, 20, 20], [-28, -4, 36, 12]], atol=1e-5)
    # the next octave: 32 * 2^(1/3) = 40.3175
    np.testing.assert_allclose(found[4], [4 - 20.158737, 4 - 20.158737, 4 + 20.158737, 4 + 20.158737], atol=1e-4)
    # the cell to the right, then (after 8 of them) the one below
    np.testing.assert_allclose(found[9 + 1], [-4, -12, 28, 20], atol=1e-5)
    np.testing.assert_allclose(found[8 * 9 + 1], [-12, -4, 20, 28], atol=1e-5)
    # P4 begins after 64 cells: middle 8, 8, side 64; P7: middle 64, side 512
    np.testing.assert_allclose(found[64 * 9 + 1], [-24, -24, 40, 40], atol=1e-5)
    np.testing.assert_allclose(found[85 * 9 + 1], [-192, -192, 320, 320], atol=1e-4)


def test_the_paper_has_49104_anchors_at_512():
    assert len(anchors(512, 4.0, (0.5, 1.0, 2.0))) == 49_104  # 9 * (64^2 + 32^2 + 16^2 + 8^2 + 4^2)


def test_areas_do_not_depend_on_the_ratio():
    found = anchors(64, 3.0, (0.5, 1.0, 1.6))
    areas = np.prod(found[:, 2:] - found[:, :2], axis=1)
    assert areas[:3] == pytest.approx([24**2] * 3, rel=1e-5)
