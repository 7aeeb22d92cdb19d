"""Training targets on examples small enough to follow by hand."""

import numpy as np
from keras import ops

from mrcnn.parts import targets

KEYS = np.array([[0.9, 0.1, 0.5, 0.7, 0.3, 0.2]], "float32")


def numpy(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


ANCHORS = np.array(
    [[0, 0, 10, 10], [0, 0, 10, 8], [0, 5, 10, 15], [40, 40, 50, 50], [60, 60, 70, 70], [80, 80, 90, 90]], "float32"
)


def rpn(class_ids, boxes, **options):
    result = targets.rpn_targets(ANCHORS, np.array([class_ids]), np.array([boxes], "float32"), KEYS, **options)
    match, bbox = numpy(result)
    return match[0].tolist(), bbox[0]


def test_rpn_match():
    # IoU with the instance: 1, 0.8, 1/3 (neither), 0 (negative).
    match, bbox = rpn([1], [[0, 0, 10, 10]], count=6, positive_ratio=0.5)
    assert match == [1, 1, 0, -1, -1, -1]
    # Anchor 1 is 8 wide: its centre moves by 1/8 of that and it grows by 10/8. Divided by 0.1 and 0.2.
    np.testing.assert_allclose(bbox, [[0, 0, 0, 0], [0, 1.25, 0, np.log(1.25) / 0.2], [0, 0, 0, 0]], atol=1e-5)


def test_rpn_sample_follows_the_keys():
    # One positive of two: anchor 0 has the higher key. Three negatives of three: keys .7, .3, .2, two fit.
    match, bbox = rpn([1], [[0, 0, 10, 10]], count=3, positive_ratio=0.34)
    assert match == [1, 0, 0, -1, -1, 0]
    assert bbox.shape == (1, 4)


def test_best_anchor_is_positive_whatever_its_overlap():
    # 20 x 20 around anchor 3: IoU 100/400.
    match, _ = rpn([1], [[35, 35, 55, 55]], count=12)
    assert match == [-1, -1, -1, 1, -1, -1]


def test_rpn_without_instances_and_with_a_crowd():
    assert rpn([0], [[0, 0, 0, 0]], count=4)[0] == [-1, 0, -1, -1, -1, 0]  # four highest keys
    match, bbox = rpn([-1], [[0, 0, 10, 10]], count=12)
    assert match == [0, 0, 0, -1, -1, -1]
    assert not bbox.any()


PROPOSALS = np.array(
    [[[0, 0, 0.5, 0.5], [0, 0, 0.4, 0.5], [0.5, 0.5, 1, 1], [0.6, 0.6, 1, 1], [0.2, 0.6, 0.4, 0.9], [0, 0, 0, 0]]],
    "float32",
)


def regions(class_ids, boxes, **options):
    result = targets.detection_targets(PROPOSALS, np.array([class_ids]), np.array([boxes], "float32"), KEYS, **options)
    return [part[0] for part in numpy(result)]


def test_regions_positive_first_then_negatives_fill_up():
    rois, class_ids, deltas, instances = regions(
        [2, 1, 0], [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 0, 0]], count=5, positive_ratio=0.4
    )
    # Positive: 0, 1 (IoU 0.8), 2, 3 (0.64); two may be, of keys .9 .1 .5 .7: 0 and 3. Negative: 4 only. 5 is padding.
    np.testing.assert_allclose(rois, [*PROPOSALS[0, [0, 3, 4]], [0] * 4, [0] * 4])
    assert class_ids.tolist() == [2, 1, 0, 0, 0]
    assert instances[:2].tolist() == [0, 1]
    grown = np.log(0.5 / 0.4) / 0.2
    np.testing.assert_allclose(deltas[:2], [[0] * 4, [-1.25, -1.25, grown, grown]], atol=1e-5)
    assert not deltas[2:].any()


def test_regions_keep_the_ratio_where_asked():
    boxes = [[0, 0, 0.5, 0.5]]
    # Positive: 0 and 1. As many negatives: of 2, 3, 4 with keys .5 .7 .3 the first two.
    rois, class_ids, _, _ = regions([1], boxes, count=6, positive_ratio=0.5, fill_negatives=False)
    np.testing.assert_allclose(rois[:4], PROPOSALS[0, [0, 1, 3, 2]])
    assert class_ids.tolist() == [1, 1, 0, 0, 0, 0]
    assert not rois[4:].any()
    # Without an instance there is nothing to keep a ratio to.
    assert not regions([0], [[0] * 4], count=6, positive_ratio=0.5, fill_negatives=False)[0].any()
    filled = regions([0], [[0] * 4], count=6, positive_ratio=0.5)[0]
    np.testing.assert_allclose(filled[:5], PROPOSALS[0, [0, 3, 2, 4, 1]])


def test_mask_of_a_region():
    # The instance fills the left half of the image; its mini mask is all ones, its full mask is that half.
    rois = np.array([[[0, 0, 1, 1], [0.25, 0.5, 0.75, 0.9]]], "float32")
    instances, boxes = np.zeros((1, 2), "int32"), np.array([[[0, 0, 1, 0.45]]], "float32")
    mini = np.ones((1, 7, 7, 1), bool)
    full = np.zeros((1, 11, 11, 1), bool)
    full[:, :, :6] = True
    for masks, is_mini in ((mini, True), (full, False)):
        (result,) = numpy([targets.mask_targets(rois, instances, boxes, masks, (3, 5), is_mini)])
        # Samples of the whole image lie at 0, 1/4, 1/2 (pixel 5 of the full mask), 3/4, 1. The right region is empty.
        assert result[0, 0].tolist() == [[1, 1, 0 if is_mini else 1, 0, 0]] * 3
        assert result.shape == (1, 2, 3, 5)
        assert result[0, 1, :, 1:].sum() == 0
