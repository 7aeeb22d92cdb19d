"""Boxes in NumPy: numbers worked out by hand, and what holds for any boxes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from keras import ops

from keraskit.boxes import tensors
from keraskit.boxes.arrays import area, clip, iou, non_max_suppression, ranks, xywh_to_xyxy, xyxy_to_xywh

# Whole pixels, so that many boxes touch, are equal or empty: (x, y, width, height).
BOX = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 30), st.integers(0, 30))
BOXES = st.lists(BOX, max_size=12).map(lambda rows: xywh_to_xyxy(np.array(rows, np.float64)))
ANY_BOXES = npst.arrays(np.float64, (7, 4), elements=st.floats(-1e6, 1e6)).map(lambda a: np.sort(a.reshape(7, 2, 2), 1))


def test_the_two_forms_of_a_box():
    assert xywh_to_xyxy(np.array([[10, 20, 30, 40]])).tolist() == [[10, 20, 40, 60]]
    assert xyxy_to_xywh(np.array([[10, 20, 40, 60]])).tolist() == [[10, 20, 30, 40]]


def test_no_boxes_keep_four_columns():
    assert xywh_to_xyxy([]).shape == (0, 4)
    assert xyxy_to_xywh(np.zeros((0, 4), np.float32)).dtype == np.float32


@given(npst.arrays(np.int64, (5, 4), elements=st.integers(-(2**40), 2**40)))
def test_there_and_back(boxes):
    assert (xyxy_to_xywh(xywh_to_xyxy(boxes)) == boxes).all()
    assert (xywh_to_xyxy(xyxy_to_xywh(boxes.astype(float))) == boxes).all()


def test_area_of_a_box_out_of_order_is_zero():
    assert area(np.array([[0, 0, 4, 3], [4, 0, 0, 3], [4, 3, 0, 0], [1, 1, 1, 5]])).tolist() == [12, 0, 0, 0]
    assert np.isnan(area(np.full((2, 3, 4), np.nan))).all()


def test_clip_to_a_window_and_to_one_each():
    boxes = np.array([[-5, 2, 30, 8], [40, 40, 50, 50]], float)
    assert clip(boxes, [0, 0, 20, 10]).tolist() == [[0, 2, 20, 8], [20, 10, 20, 10]]
    assert clip(boxes, [[0, 0, 20, 10], [0, 0, 64, 45]]).tolist() == [[0, 2, 20, 8], [40, 40, 50, 45]]


def test_iou_by_hand():
    # (5, 5, 15, 15) shares 5 x 5 of 100 + 100 - 25 = 175; (10, 0, 20, 10) only touches; two empty boxes have no union.
    a = np.array([[0, 0, 10, 10], [3, 3, 3, 3]])
    b = np.array([[0, 0, 10, 10], [5, 5, 15, 15], [10, 0, 20, 10], [3, 3, 3, 3]])
    assert iou(a, b).tolist() == [[1, 1 / 7, 0, 0], [0, 0, 0, 0]]


def test_nothing_overlaps_a_box_that_is_not_there():
    padding = np.full((1, 4), np.nan)
    assert iou(np.concatenate([padding, [[0, 0, 10, 10]]]), padding).tolist() == [[0], [0]]


def test_leading_dimensions_broadcast():
    a, b = np.zeros((3, 1, 5, 4)), np.zeros((2, 7, 4), np.float32)
    assert iou(a, b).shape == (3, 2, 5, 7)
    assert iou(a, b).dtype == np.float64
    assert iou(np.zeros((0, 4)), np.zeros((2, 4))).shape == (0, 2)
    # Each box with boxes of its own, as the matching and the fusion ask.
    boxes, own = np.array([[0, 0, 2, 2], [0, 0, 4, 4]]), np.array([[[0, 0, 2, 2], [0, 0, 2, 1]], [[0, 0, 2, 4]] * 2])
    assert iou(boxes[:, None], own)[:, 0].tolist() == [[1, 0.5], [0.5, 0.5]]


@given(ANY_BOXES, ANY_BOXES)
def test_iou_is_symmetric_and_a_share(a, b):
    a, b = a.reshape(-1, 4), b.reshape(-1, 4)
    overlaps = iou(a, b)
    assert (overlaps == iou(b, a).T).all()
    assert ((overlaps >= 0) & (overlaps <= 1)).all()
    assert np.diag(iou(a, a)).tolist() == [float(size > 0) for size in area(a)]


@settings(deadline=None)  # the first call starts the backend
@given(BOXES, BOXES)
def test_equal_to_the_one_in_a_network(a, b):
    expected = ops.convert_to_numpy(tensors.iou(a.astype("float32"), b.astype("float32")))
    np.testing.assert_allclose(iou(a, b), expected, rtol=1e-6, atol=0)
    assert (area(a) == ops.convert_to_numpy(tensors.area(a.astype("float32")))).all()
    window = np.array([3, 5, 30, 20])
    assert (clip(a, window) == ops.convert_to_numpy(tensors.clip(a.astype("float32"), window.astype("float32")))).all()


def test_a_suppressed_box_suppresses_nothing():
    # Neighbours overlap 60/140 = 0.43. Box 0 drops 1; 2 then stays and drops 3.
    chain = np.array([[0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18], [0, 12, 10, 22]])
    assert non_max_suppression(chain, [0.9, 0.8, 0.7, 0.6], 0.4).tolist() == [0, 2]
    assert non_max_suppression(chain, [0.6, 0.7, 0.8, 0.9], 0.4).tolist() == [3, 1]


def test_overlap_equal_to_the_threshold_stays_and_ties_go_to_the_lower_index():
    pair = [[0, 0, 2, 2], [0, 0, 2, 1]]  # IoU 0.5
    assert non_max_suppression(pair, [0.5, 0.5], 0.5).tolist() == [0, 1]
    assert non_max_suppression(pair, [0.5, 0.5], 0.49).tolist() == [0]


def test_groups_leave_each_other_alone_and_come_in_their_order():
    same = [[0, 0, 5, 5]] * 5
    assert non_max_suppression(same, [0.3, 0.5, 0.9, 0.2, 0.4], 0.5, [7, 7, -2, 9, 9]).tolist() == [2, 1, 4]


def test_no_boxes_to_suppress():
    assert non_max_suppression([], [], 0.5).tolist() == []
    assert non_max_suppression(np.zeros((0, 4)), [], 0.5, []).tolist() == []


def greedy(boxes, scores, iou_threshold, groups):
    """The loop that is too simple to be wrong."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (groups[i], -scores[i], i)):
        if all(groups[i] != groups[j] or iou(boxes[[i]], boxes[[j]])[0, 0] <= iou_threshold for j in kept):
            kept.append(i)
    return kept


@given(BOXES, st.data(), st.sampled_from([0.0, 0.2, 0.5, 0.7]), st.integers(1, 3))
def test_suppression_equals_the_loop_and_a_second_one_changes_nothing(boxes, data, threshold, groups):
    numbers = st.lists(st.integers(0, 5), min_size=len(boxes), max_size=len(boxes))
    scores, group = np.array(data.draw(numbers)) / 5, np.array(data.draw(numbers), int) % groups
    kept = non_max_suppression(boxes, scores, threshold, group)
    assert kept.tolist() == greedy(boxes, scores, threshold, group)
    again = non_max_suppression(boxes[kept], scores[kept], threshold, group[kept])
    assert again.tolist() == list(range(len(kept)))


def test_many_groups_go_in_parts(monkeypatch):
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 50, (300, 2))
    boxes, scores = np.hstack([corner, corner + rng.uniform(5, 40, (300, 2))]), rng.uniform(size=300)
    groups = rng.integers(0, 40, 300)
    expected = greedy(boxes, scores, 0.3, groups)
    assert len(expected) < 300
    for overlaps in (1, 1000, 2**20):
        monkeypatch.setattr("keraskit.boxes.arrays.OVERLAPS", overlaps)
        assert non_max_suppression(boxes, scores, 0.3, groups).tolist() == expected


def test_ranks():
    assert ranks(np.array([3, 3, 7])).tolist() == [0, 1, 0]
    assert ranks(np.array([], int)).tolist() == []
