"""Anchors by k-means on IoU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolov3.anchors import kmeans, mean_iou

TWO_GROUPS = [[44, 20], [10, 10], [12, 12], [40, 20]]


def test_two_groups():
    anchors = kmeans(TWO_GROUPS, 2, seed=1)
    np.testing.assert_allclose(anchors, [[11, 11], [42, 20]])
    # (100/121 + 121/144 + 800/840 + 840/880) / 4
    assert mean_iou(TWO_GROUPS, anchors) == pytest.approx(0.893412, abs=1e-6)


def test_a_single_box_is_scaled():
    np.testing.assert_allclose(kmeans([[10, 20], [10, 20]], 3, seed=1), [[8, 16], [10, 20], [12.5, 25]])
    assert kmeans([[10, 20]], 9, seed=1).shape == (9, 2)


def test_no_boxes():
    with pytest.raises(ValueError, match="got 0 boxes; use anchors: coco"):
        kmeans(np.zeros((0, 2)), 6, seed=1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(4, 200), st.integers(4, 200)), min_size=1, max_size=40), st.integers(1, 6))
def test_same_seed_same_anchors_and_more_never_fit_worse(sizes: list[tuple[int, int]], count: int):
    anchors = kmeans(sizes, count, seed=3)
    np.testing.assert_array_equal(anchors, kmeans(sizes, count, seed=3))
    assert anchors.shape == (count, 2)
    assert (np.diff(anchors.prod(axis=1)) >= -1e-9).all()
    assert 0 < mean_iou(sizes, anchors) <= 1 + 1e-12
    if len(set(sizes)) <= count:
        assert mean_iou(sizes, anchors) == pytest.approx(1)  # each size is an anchor
