"""Non-maximum suppression against a loop that is too simple to be wrong."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keraskit.boxes import nms


def greedy(boxes, scores, max_output, iou_threshold, score_threshold, groups):
    """The textbook loop for one image, in float32 like the function under test."""
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if score_threshold is not None and not scores[i] >= score_threshold:
            continue
        if all(groups[i] != groups[j] or _iou(boxes[i], boxes[j]) <= iou_threshold for j in kept):
            kept.append(i)
    return kept[:max_output]


def _iou(a, b):
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    both = sides[0] * sides[1]
    union = np.prod(np.maximum(a[2:] - a[:2], 0)) + np.prod(np.maximum(b[2:] - b[:2], 0)) - both
    return both / union if union > 0 else 0.0


def _run(boxes, scores, max_output, iou_threshold, score_threshold=None, groups=None):
    indices, valid = nms.non_max_suppression(boxes, scores, max_output, iou_threshold, score_threshold, groups)
    indices, valid = ops.convert_to_numpy(indices), ops.convert_to_numpy(valid)
    assert indices.shape == valid.shape == (len(boxes), max_output)
    assert (indices[~valid] == 0).all()
    return [row[mask].tolist() for row, mask in zip(indices, valid, strict=True)]


CHAIN = np.array([[[0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18], [0, 12, 10, 22]]], "float32")


def test_a_suppressed_box_suppresses_nothing():
    # Neighbours overlap 60/140 = 0.43. Box 0 drops 1; 2 then stays and drops 3.
    assert _run(CHAIN, np.array([[0.9, 0.8, 0.7, 0.6]], "float32"), 4, 0.4) == [[0, 2]]


def test_overlap_equal_to_the_threshold_stays():
    pair = np.array([[[0, 0, 2, 2], [0, 0, 2, 1]]], "float32")  # IoU 0.5
    assert _run(pair, np.array([[0.5, 0.6]], "float32"), 2, 0.5) == [[1, 0]]


def test_ties_go_to_the_lower_index_and_groups_leave_each_other_alone():
    same = np.zeros((1, 3, 4), "float32") + np.array([0, 0, 5, 5], "float32")
    scores = np.array([[0.3, 0.3, 0.3]], "float32")
    assert _run(same, scores, 3, 0.5) == [[0]]
    assert _run(same, scores, 3, 0.5, groups=np.array([[1, 2, 1]])) == [[0, 1]]


def test_score_threshold_lets_its_own_value_in_and_nan_out():
    scores = np.array([[0.25, np.nan, 0.5, 0.125]], "float32")
    assert _run(CHAIN, scores, 5, 1.0, score_threshold=0.25) == [[2, 0]]


def test_images_without_a_box_and_more_output_than_boxes():
    boxes = np.concatenate([CHAIN, CHAIN])
    scores = np.array([[0.1, 0.1, 0.1, 0.1], [0.1, 0.9, 0.1, 0.1]], "float32")
    assert _run(boxes, scores, 6, 0.4, score_threshold=0.5) == [[], [1]]


def test_an_unknown_number_of_boxes_is_refused():
    with pytest.raises(ValueError, match="static number of boxes"):
        nms.non_max_suppression(keras.Input((None, 4)), np.zeros((1, 1)), 1, 0.5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    threshold=st.sampled_from([0.0, 0.2, 0.5, 0.7]),
    floor=st.sampled_from([None, 0.3]),
    tile=st.sampled_from([8, 64]),
    max_output=st.sampled_from([3, 20, 50]),
)
def test_equals_the_loop(seed, threshold, floor, tile, max_output):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 24, (2, 40, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 16, (2, 40, 2))], axis=-1).astype("float32")
    scores = (rng.integers(0, 12, (2, 40)) / 12).astype("float32")  # coarse, so that ties happen
    groups = rng.integers(0, 2, (2, 40))
    before, nms.TILE = nms.TILE, tile
    try:
        result = _run(boxes, scores, max_output, threshold, floor, groups)
        image = 1
        again = _run(boxes[image:], scores[image:], max_output, threshold, floor, groups[image:])
    finally:
        nms.TILE = before
    assert result == [
        greedy(*rows, max_output, threshold, floor, g) for *rows, g in zip(boxes, scores, groups, strict=True)
    ]
    assert again == result[image:]  # an image's result does not depend on its neighbours
