"""Box arithmetic against numbers worked out by hand."""

import numpy as np
from keras import ops

from keraskit.boxes import tensors


def test_area_of_a_box_out_of_order_is_zero():
    result = tensors.area(np.array([[0, 0, 4, 3], [4, 0, 0, 3], [1, 1, 1, 5]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(result), [12, 0, 0])


def test_iou_pairs():
    a = np.array([[0, 0, 2, 2], [5, 5, 5, 5]], "float32")
    b = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [5, 5, 5, 5]], "float32")
    # [1, 1, 3, 3] shares one unit of 4 + 4 - 1 = 7; [2, 0, 4, 2] only touches; two empty boxes have no union.
    np.testing.assert_allclose(
        ops.convert_to_numpy(tensors.iou(a, b)), [[1, 1 / 7, 0, 0], [0, 0, 0, 0]], rtol=1e-6, atol=0
    )


def test_iou_keeps_leading_dimensions():
    a, b = np.zeros((3, 5, 4), "float32"), np.zeros((3, 7, 4), "float32")
    assert tuple(tensors.iou(a, b).shape) == (3, 5, 7)


def test_clip_to_a_window_for_each_image():
    box = np.array([[[-5, 2, 30, 8], [40, 40, 50, 50]], [[-5, 2, 30, 8], [40, 40, 50, 50]]], "float32")
    window = np.array([[[0, 0, 20, 10]], [[0, 0, 64, 64]]], "float32")
    expected = [[[0, 2, 20, 8], [20, 10, 20, 10]], [[0, 2, 30, 8], [40, 40, 50, 50]]]
    np.testing.assert_array_equal(ops.convert_to_numpy(tensors.clip(box, window)), expected)
