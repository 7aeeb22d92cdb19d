"""Anchors and boxes in normalized coordinates, against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcnn.parts import anchors


def test_one_cell_after_the_other():
    # Ratio 4 of area 8 x 8: width 16, height 4. Two cells of stride 32 in a row.
    result = anchors.generate_anchors(8, [1, 4], (1, 2), 32, 1)
    expected = [[-4, -4, 4, 4], [-2, -8, 2, 8], [-4, 28, 4, 36], [-2, 24, 2, 40]]
    np.testing.assert_allclose(result, expected)


def test_anchor_stride_skips_cells():
    result = anchors.generate_anchors(2, [1], (3, 3), 10, 2)
    np.testing.assert_allclose(result[:, :2] + 1, [[0, 0], [0, 20], [20, 0], [20, 20]])


def test_a_scale_needs_a_level():
    shapes, strides = np.array([[4, 4], [2, 2]]), [8, 16]
    assert len(anchors.generate_pyramid_anchors([8], [1], shapes, strides, 1)) == 16
    with pytest.raises(ValueError, match="3 scales, got 2 feature_shapes and 2 feature_strides"):
        anchors.generate_pyramid_anchors([8, 16, 32], [1], shapes, strides, 1)


def test_norm_boxes_ends_at_the_last_pixel():
    result = anchors.norm_boxes(np.array([[0, 0, 101, 201], [50, 50, 51, 101]]), (101, 201, 3))
    np.testing.assert_allclose(result, [[0, 0, 1, 1], [0.5, 0.25, 0.5, 0.5]])


@given(st.lists(st.integers(0, 256), min_size=4, max_size=4))
def test_denorm_undoes_norm(box):
    assert anchors.denorm_boxes(anchors.norm_boxes(np.array(box), (256, 300)), (256, 300)).tolist() == box


def test_anchor_scales():
    # Squares of sides 0 .. 60; sixths: 10, 30, 50.
    side = np.linspace(0, 60, 601, dtype=np.float32)
    boxes = np.stack([side * 0, side * 0, side, side], axis=1)
    assert anchors.anchor_scales(boxes, 3) == [10.0, 30.0, 50.0]
    with pytest.raises(ValueError, match="give the scales"):
        anchors.anchor_scales(np.zeros((0, 4)), 3)


def test_anchor_recall():
    # The same box; half of it (0.5 counts); a third of it.
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 3, 10]], float)
    assert anchors.anchor_recall(np.array([[0, 0, 10, 10.0]]), boxes) == pytest.approx(2 / 3)
    assert np.isnan(anchors.anchor_recall(np.array([[0, 0, 10, 10.0]]), np.zeros((0, 4))))
