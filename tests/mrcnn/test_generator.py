"""Batches with what they teach, in the calls of Matterport's inspect_data notebooks."""

import numpy as np
import pytest
from tests.mrcnn.tiny import Boxes, TinyConfig

import mrcnn.model as modellib
from mrcnn import utils

CONFIG = TinyConfig()
T, C = CONFIG.TRAIN_ROIS_PER_IMAGE, CONFIG.NUM_CLASSES


@pytest.fixture(scope="module")
def dataset():
    dataset = Boxes()
    dataset.prepare_made_up(3)  # the last one is empty
    return dataset


def test_a_batch_as_the_notebooks_unpack_it(dataset):
    np.random.seed(0)  # noqa: NPY002
    g = modellib.data_generator(dataset, CONFIG, shuffle=False, random_rois=400, batch_size=3, detection_targets=True)
    (
        [normalized_images, image_meta, rpn_match, rpn_bbox, gt_class_ids, gt_boxes, gt_masks, rpn_rois, rois],
        [
            mrcnn_class_ids,
            mrcnn_bbox,
            mrcnn_mask,
        ],
    ) = next(g)
    anchors = utils.generate_pyramid_anchors(
        CONFIG.RPN_ANCHOR_SCALES,
        CONFIG.RPN_ANCHOR_RATIOS,
        modellib.compute_backbone_shapes(CONFIG, CONFIG.IMAGE_SHAPE),
        CONFIG.BACKBONE_STRIDES,
        CONFIG.RPN_ANCHOR_STRIDE,
    )
    assert modellib.parse_image_meta(image_meta)["image_id"].tolist() == [0, 1, 2]
    assert normalized_images.shape == (3, 64, 64, 3)
    assert (rpn_match.shape, rpn_match.dtype) == ((3, len(anchors), 1), np.int32)
    assert (gt_masks.shape, gt_masks.dtype) == ((3, 14, 14, 3), bool)
    assert (rpn_rois.shape, rpn_rois.dtype) == ((3, 400, 4), np.int32)
    assert (rois.shape, rois.dtype) == ((3, T, 4), np.int32)
    assert [x.shape for x in (mrcnn_class_ids, mrcnn_bbox, mrcnn_mask)] == [
        (3, T, 1),
        (3, T, C, 4),
        (3, T, *CONFIG.MASK_SHAPE, C),
    ]
    assert gt_class_ids.tolist() == [[1, 0, 0], [2, 0, 0], [0, 0, 0]]
    for b in (0, 1):
        image, _, _, bbox, _ = modellib.load_image_gt(dataset, CONFIG, b)
        np.testing.assert_array_equal(modellib.unmold_image(normalized_images[b], CONFIG), image)
        assert gt_boxes[b, :1].tolist() == bbox.tolist()
        indices = np.where(rpn_match[b] == 1)[0]
        refined = utils.apply_box_deltas(anchors[indices], rpn_bbox[b, : len(indices)] * CONFIG.RPN_BBOX_STD_DEV)
        np.testing.assert_allclose(refined, np.repeat(bbox, len(indices), axis=0), atol=1e-3)

        ids = mrcnn_class_ids[b, :, 0]
        positive = np.flatnonzero(ids)
        assert positive.tolist() == list(range(int(T * CONFIG.ROI_POSITIVE_RATIO)))  # first, as many as may be
        assert set(ids[positive]) == {b + 1}
        assert (utils.compute_overlaps(rois[b, positive], bbox) > 0.45).all()
        of_class = mrcnn_bbox[b, positive, ids[positive]]
        # Boxes of whole pixels here, normalized ones in training: a pixel of rounding at their far edges.
        again = utils.apply_box_deltas(rois[b, positive].astype(np.float32), of_class * CONFIG.BBOX_STD_DEV)
        np.testing.assert_allclose(again, np.repeat(bbox, len(positive), axis=0), atol=1)
        assert mrcnn_bbox.astype(bool).any(axis=-1)[b].sum() == len(positive)  # of no other class, of no negative
        assert not mrcnn_mask[b, len(positive) :].any()
        assert mrcnn_mask[b, positive, :, :, ids[positive]].mean() > 0.5
        assert set(map(tuple, rois[b])) <= set(map(tuple, rpn_rois[b]))
    assert (rpn_match[2] == -1).sum() == min(CONFIG.RPN_TRAIN_ANCHORS_PER_IMAGE, len(anchors))
    assert not (rpn_match[2] == 1).any()
    assert not mrcnn_class_ids[2].any()
    assert next(g)[0][0].shape == normalized_images.shape  # without end

    np.random.seed(0)  # noqa: NPY002
    again = next(modellib.data_generator(dataset, CONFIG, False, False, None, 400, 3, True))
    for a, b in zip(again[0] + again[1], [
        normalized_images, image_meta, rpn_match, rpn_bbox, gt_class_ids, gt_boxes, gt_masks, rpn_rois, rois,
        mrcnn_class_ids, mrcnn_bbox, mrcnn_mask,
    ], strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)


def test_batches_with_less(dataset):
    inputs, outputs = next(modellib.data_generator(dataset, CONFIG))
    assert ([len(x) for x in inputs], outputs) == ([1] * 7, [])
    inputs, outputs = next(modellib.data_generator(dataset, CONFIG, random_rois=20))
    assert (len(inputs), outputs) == (8, [])

    class BoxesAlone(TinyConfig):
        USE_MASKS = False

    inputs, outputs = next(modellib.data_generator(dataset, BoxesAlone(), random_rois=20, detection_targets=True))
    assert (len(inputs), len(outputs)) == (8, 2)
    g = modellib.data_generator(dataset, CONFIG, shuffle=False, augment=True, batch_size=3)
    images = [next(g)[0][0][0] for _ in range(12)]
    flipped = [not np.array_equal(image, images[0]) for image in images]
    assert 0 < sum(flipped) < 12
    other = images[flipped.index(True)]
    np.testing.assert_array_equal(other, images[0][:, ::-1])


@pytest.mark.parametrize("mini", [True, False])
def test_what_the_second_stage_is_taught(mini):
    """Regions by hand: the instance itself, its left half and more, the background."""

    class Own(TinyConfig):
        USE_MINI_MASK = mini
        ROI_POSITIVE_RATIO = 0.5

    mask = np.zeros((64, 64, 1), bool)
    mask[10:30, 20:40] = True
    box = utils.extract_bboxes(mask)
    masks = utils.minimize_mask(box, mask, Own.MINI_MASK_SHAPE) if mini else mask
    regions = np.array([[40, 40, 60, 60], [10, 20, 30, 40], [10, 10, 30, 40], [0, 0, 5, 5]], np.int32)
    rois, class_ids, deltas, small = modellib.build_detection_targets(regions, np.array([2]), box, masks, Own())
    assert class_ids.tolist() == [2, 2] + [0] * 6
    order = [1, 2] if rois[0].tolist() == regions[1].tolist() else [2, 1]
    assert rois[:2].tolist() == regions[order].tolist()
    assert sorted(rois[2:4].tolist()) == sorted(regions[[0, 3]].tolist())
    assert not rois[4:].any()
    itself, wider = order.index(1), order.index(2)
    np.testing.assert_allclose(deltas[itself], 0, atol=1e-6)
    # The middle moves by 5 of 30 - 1 pixels between the outermost ones, divided by 0.1; log(19 / 29) by 0.2.
    np.testing.assert_allclose(deltas[wider, 2], [0, 5 / 29 / 0.1, 0, np.log(19 / 29) / 0.2], atol=1e-5)
    assert not deltas[:, :2].any()
    assert small.shape == (8, 28, 28, 3)
    assert small[itself, :, :, 2].all()
    assert small[wider, :, 11:, 2].all()  # a third of the region lies before the instance
    assert not small[wider, :, :9, 2].any()
    assert not small[..., :2].any()
    nothing = modellib.build_detection_targets(regions, np.zeros(0, int), box[:0], masks[..., :0], Own())
    assert not any(part.any() for part in nothing[1:])
    assert (nothing[0] != 0).any(axis=1).sum() == 4


def test_regions_are_made_up_about_the_instances():
    boxes = np.array([[10, 20, 20, 40], [40, 50, 64, 64]])
    rois = modellib.generate_random_rois((64, 64, 3), 1000, np.array([1, 2]), boxes)
    assert (rois.shape, rois.dtype) == ((1000, 4), np.int32)
    assert (rois[:, 2:] > rois[:, :2]).all()
    assert rois.min() == 0
    assert rois.max() == 64
    for part, (y1, x1, y2, x2) in zip((rois[:450], rois[450:900]), [(0, 0, 30, 60), (16, 36, 64, 64)], strict=True):
        assert (part.min(axis=0)[:2].tolist(), part.max(axis=0)[2:].tolist()) == ([y1, x1], [y2, x2])
    assert modellib.generate_random_rois((64, 64), 7, boxes[:0, 0], boxes[:0]).shape == (7, 4)
