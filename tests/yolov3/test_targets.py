"""Assignment of truths to places and anchors, worked out by hand."""

from __future__ import annotations

import numpy as np
from tests.yolov3.heads import ALIKE, NOTHING, assigned


def test_the_most_similar_anchor_answers_in_the_cell_of_the_centre():
    # 10 x 20 at (40, 10): column 1, row 0, first anchor: place (0 * 2 + 1) * 2; the zeros are padding
    targets = assigned([[35, 0, 45, 20], [0, 0, 0, 0]])
    assert np.flatnonzero(np.asarray(targets.positive)[0]).tolist() == [2]
    assert np.asarray(targets.boxes)[0, 2].tolist() == [35, 0, 45, 20]
    # 24 x 32 at (32, 32): on the line, so the right, lower cell; 768 / 1200 = 0.64 of the second anchor
    targets = assigned([[20, 16, 44, 48]])
    assert np.flatnonzero(np.asarray(targets.positive)[0]).tolist() == [7]


def test_similar_anchors_answer_too():
    # IoU of 10 x 20 with 12 x 20 is 200 / 240 = 0.83
    box = [[11, 6, 21, 26]]
    assert np.flatnonzero(np.asarray(assigned(box, ALIKE).positive)[0]).tolist() == [0]
    assert np.flatnonzero(np.asarray(assigned(box, ALIKE, also_above=0.5).positive)[0]).tolist() == [0, 1]
    assert np.flatnonzero(np.asarray(assigned(box, ALIKE, also_above=0.84).positive)[0]).tolist() == [0]


def test_two_boxes_in_one_cell_both_find_a_place():
    # 10 x 20 and 11 x 20 (0.909 of the first anchor, 0.917 of the second): each claims the other's best anchor too
    targets = assigned([[12, 6, 23, 26], [11, 6, 21, 26]], ALIKE, also_above=0.5)
    assert np.flatnonzero(np.asarray(targets.positive)[0]).tolist() == [0, 1]
    assert np.asarray(targets.boxes)[0, 0].tolist() == [11, 6, 21, 26]
    assert np.asarray(targets.boxes)[0, 1].tolist() == [12, 6, 23, 26]


def test_good_predictions_elsewhere_are_ignored():
    predicted = NOTHING.copy()
    predicted[0, 2] = predicted[0, 3] = [35, 0, 45, 20]  # the place that answers, and another that is as good
    predicted[0, 6] = [35, 5, 45, 25]  # IoU 150 / 250 = 0.6
    targets = assigned([[35, 0, 45, 20]], predicted=predicted)
    assert np.flatnonzero(np.asarray(targets.ignored)[0]).tolist() == [3, 6]
    targets = assigned([[35, 0, 45, 20]], predicted=predicted, ignore=0.7)
    assert np.flatnonzero(np.asarray(targets.ignored)[0]).tolist() == [3]
