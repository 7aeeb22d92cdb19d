"""Every part against Matterport's functions: `tests/data/mrcnn_parts.npz`, written by its own code on seeded inputs."""

import numpy as np
import pytest
from keras import ops
from tests.places import DATA

from mrcnn import utils
from mrcnn.parts import losses
from mrcnn.parts.anchors import generate_pyramid_anchors
from mrcnn.parts.coding import apply_box_deltas, box_refinement
from mrcnn.parts.roi_align import PyramidROIAlign, flat_pyramid
from mrcnn.parts.targets import rpn_targets

PARTS = np.load(DATA / "mrcnn_parts.npz")
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def close(result, name, **options):
    np.testing.assert_allclose(ops.convert_to_numpy(result), PARTS[name], **{**CLOSE, **options})


def test_rpn_class_loss():
    close(losses.rpn_class_loss(PARTS["rpn_match"], PARTS["rpn_class_logits"]), "rpn_class_loss")


def test_rpn_bbox_loss():
    result = losses.rpn_bbox_loss(PARTS["rpn_target_bbox"], PARTS["rpn_match"], PARTS["rpn_pred_bbox"])
    close(result, "rpn_bbox_loss")


def test_mrcnn_class_loss():
    inputs = (PARTS[name] for name in ("target_class_ids", "pred_class_logits", "active_class_ids"))
    close(losses.mrcnn_class_loss(*inputs), "mrcnn_class_loss")


def test_mrcnn_bbox_loss():
    inputs = (PARTS[name] for name in ("target_bbox", "target_class_ids", "pred_bbox"))
    close(losses.mrcnn_bbox_loss(*inputs), "mrcnn_bbox_loss")


def test_mrcnn_mask_loss():
    inputs = (PARTS[name] for name in ("target_mask", "target_class_ids", "pred_mask"))
    close(losses.mrcnn_mask_loss(*inputs), "mrcnn_mask_loss")


def test_box_coding():
    close(box_refinement(PARTS["boxes"], PARTS["gt"]), "box_refinement", atol=1e-5)
    close(apply_box_deltas(PARTS["boxes"], PARTS["box_refinement"]), "apply_box_deltas")


def test_overlaps():
    from keraskit.boxes.tensors import iou

    np.testing.assert_allclose(utils.compute_overlaps(PARTS["boxes"], PARTS["gt"]), PARTS["overlaps"], rtol=1e-6)
    close(iou(PARTS["boxes"], PARTS["gt"]), "overlaps")


def pyramid():
    shapes = np.array([[32, 32], [16, 16], [8, 8], [4, 4], [2, 2]])
    return generate_pyramid_anchors((8, 16, 32, 64, 128), [0.5, 1, 2], shapes, [4, 8, 16, 32, 64], 1)


def test_anchors():
    np.testing.assert_allclose(pyramid(), PARTS["anchors"], **CLOSE)


def test_rpn_targets():
    boxes = PARTS["rpn_gt_boxes"].astype("float32")
    padded = np.zeros((1, 5, 4), "float32")
    padded[0, :2] = boxes
    match, bbox = rpn_targets(
        pyramid().astype("float32"),
        np.array([[1, 1, 0, 0, 0]]),
        padded,
        np.random.default_rng(0).random((1, 4092), "float32"),
        count=8192,  # more than there are anchors: nothing is left to chance
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(match)[0], PARTS["rpn_targets_match"])
    bbox = ops.convert_to_numpy(bbox)[0]
    np.testing.assert_allclose(bbox[:2], PARTS["rpn_targets_bbox"], **CLOSE)
    assert not bbox[2:].any()


def test_roi_align():
    features = [PARTS[f"roi_feat_p{level}"] for level in (2, 3, 4, 5)]
    shapes = {level: features[level - 2].shape[1:3] for level in (2, 3, 4, 5)}
    result = PyramidROIAlign(7, (128, 128, 3), shapes)(PARTS["roi_rois"], flat_pyramid(features))
    close(result, "roi_pooled", atol=1e-5)


def test_resize_image():
    image, window, scale, padding, crop = utils.resize_image(
        PARTS["resize_in"], min_dim=128, max_dim=128, mode="square"
    )
    assert image.dtype == np.uint8
    assert crop is None
    np.testing.assert_array_equal(image, PARTS["resize_out"])
    np.testing.assert_array_equal(window, PARTS["resize_window"])
    np.testing.assert_array_equal(padding, PARTS["resize_padding"])
    assert scale == pytest.approx(float(PARTS["resize_scale"]))
