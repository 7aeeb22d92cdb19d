"""Which anchor answers for which box, by hand."""

import numpy as np
from keras import ops

from efficientdet.targets import assign

# Four squares of 10 side by side, each moved by 5 from the one before, and one far away.
ANCHORS = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [40, 40, 50, 50]], np.float32)


def assigned(truths, classes=None, positive=0.5, negative=0.3):
    truths = np.asarray([truths], np.float32)
    classes = np.zeros(truths.shape[:2], np.int32) if classes is None else np.asarray([classes], np.int32)
    found = assign(truths, classes, ANCHORS, positive, negative)
    return {
        name: ops.convert_to_numpy(getattr(found, name))[0] for name in ("positive", "negative", "boxes", "classes")
    }


def test_positive_negative_and_not_asked():
    # IoU with the box 0..10: 1; with 5..15: 50 / 150 = 1/3, between the two; with 10..20: 0
    found = assigned([[0, 0, 10, 10], [0, 0, 0, 0]], [3, 0])
    assert found["positive"].tolist() == [True, False, False, False]
    assert found["negative"].tolist() == [False, False, True, True]
    assert found["classes"].tolist() == [3, 0, 0, 0]
    assert found["boxes"][0].tolist() == [0, 0, 10, 10]


def test_a_box_that_no_anchor_overlaps_enough_has_its_nearest():
    # 42..47: 25 of 100: IoU 0.25, below both borders
    found = assigned([[42, 42, 47, 47]])
    assert found["positive"].tolist() == [False, False, False, True]
    assert not found["negative"][3]


def test_the_nearest_of_one_box_wins_over_the_overlap_of_another():
    # 10..22 overlaps anchor 10..20 by 100/120; 9..17 overlaps it by 70/110 and 5..15 by 60/120: its nearest is 10..20 too,
    # which has the first, that overlaps more. Anchor 5..15 is asked by 9..17 alone, at 0.5.
    found = assigned([[9, 0, 17, 10], [10, 0, 22, 10]])
    assert found["positive"].tolist() == [False, True, True, False]
    assert found["boxes"][2].tolist() == [10, 0, 22, 10]
    assert found["boxes"][1].tolist() == [9, 0, 17, 10]
    # 3..15 overlaps 5..15 by 100/120 and is its nearest; 5..13, by 80/100, is nearest there as well and loses
    assert assigned([[5, 0, 13, 10], [3, 0, 15, 10]])["boxes"][1].tolist() == [3, 0, 15, 10]


def test_without_a_box_everything_is_negative():
    found = assigned([[0, 0, 0, 0]])
    assert not found["positive"].any()
    assert found["negative"].all()
