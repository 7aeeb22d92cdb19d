"""The whole ResNet50 network against Matterport's, from one weight file: `tests/data/mrcnn_resnet50_256.npz`."""

import importlib.util
import json

import numpy as np
import pytest
from keras import ops
from tests.places import DATA

from mrcnn.config import Config
from mrcnn.model import MaskRCNN

ORACLE = np.load(DATA / "mrcnn_resnet50_256.npz")
STRUCTURE = DATA / "mrcnn_resnet50_256.json"


def config(**fields):
    result = Config()
    for name, value in {**json.loads(STRUCTURE.read_text())["config"], **fields}.items():
        setattr(result, name, value)
    result.IMAGE_MAX_DIM = result.IMAGE_MIN_DIM
    result.IMAGES_PER_GPU = 1
    result.__init__()
    return result


@pytest.fixture(scope="module")
def weight_file(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("matterport_weights", DATA / "mrcnn_matterport_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("weights") / "matterport.h5"
    module.write_h5(str(path), str(STRUCTURE))
    return path


@pytest.fixture(scope="module")
def model(weight_file, tmp_path_factory):
    model = MaskRCNN("inference", config(), tmp_path_factory.mktemp("logs"))
    model.load_weights(weight_file)
    return model


@pytest.fixture(scope="module")
def outputs(model):
    molded, metas, windows = model.mold_inputs([ORACLE["image"]])
    np.testing.assert_allclose(molded, ORACLE["molded"], rtol=1e-5)
    np.testing.assert_array_equal(metas, ORACLE["metas"])
    np.testing.assert_array_equal(windows, ORACLE["windows"])
    names = ("detections", "mrcnn_class", "mrcnn_bbox", "mrcnn_mask", "rpn_rois", "rpn_class", "rpn_bbox")
    return dict(zip(names, map(np.asarray, model.keras_model.predict_on_batch([molded, metas])), strict=True))


def test_anchors(model):
    np.testing.assert_allclose(model.get_anchors((256, 256, 3)), ORACLE["anchors"], atol=1e-6)


def test_pyramid(model):
    levels = model.network.pyramid
    import keras

    features = keras.Model(model.network.image, levels).predict_on_batch(ORACLE["molded"])
    for level, feature in zip("23456", features, strict=True):
        feature = ops.convert_to_numpy(feature)[0]
        np.testing.assert_allclose(feature.mean(axis=(0, 1)), ORACLE[f"p{level}_mean"], rtol=1e-3, atol=1e-4)
        corner = ORACLE[f"p{level}_corner"]
        np.testing.assert_allclose(feature[:4, :4, :8], corner, rtol=1e-3, atol=1e-3)


def test_fewer_scales_keep_the_network(model, weight_file, outputs, tmp_path):
    """Public configurations for the challenge have scales (32, 64): the same layers, weights and feature maps, of which
    the coarsest have no anchors."""
    import keras

    fewer = MaskRCNN("inference", config(RPN_ANCHOR_SCALES=(32, 64)), tmp_path)
    fewer.load_weights(weight_file)
    assert fewer.keras_model.count_params() == model.keras_model.count_params()
    maps = [keras.Model(m.network.image, m.network.pyramid).predict_on_batch(ORACLE["molded"]) for m in (fewer, model)]
    assert len(maps[0]) == 5
    for a, b in zip(*maps, strict=True):
        np.testing.assert_array_equal(a, b)

    assert len(fewer.anchors) == 3 * (64**2 + 32**2)
    molded, metas, _ = fewer.mold_inputs([ORACLE["image"]])
    _, classes, _, _, _, probabilities, deltas = map(np.asarray, fewer.keras_model.predict_on_batch([molded, metas]))
    np.testing.assert_allclose(probabilities, outputs["rpn_class"][:, : len(fewer.anchors)], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(deltas, outputs["rpn_bbox"][:, : len(fewer.anchors)], rtol=1e-4, atol=1e-5)
    assert np.isfinite(classes).all()


@pytest.mark.parametrize("name", ["rpn_class", "rpn_bbox"])
def test_proposal_network(outputs, name):
    np.testing.assert_allclose(outputs[name], ORACLE[name], rtol=1e-3, atol=1e-4)


def nearest(rows, to):
    """For each row of `to` the row of `rows` whose box is nearest, and the distance in pixels; each row is used
    once."""
    distance = np.abs(rows[:, None, :4] - to[None, :, :4]).max(axis=2) * 255
    index = distance.argmin(axis=0)
    assert len(set(index)) == len(to)
    return index, distance.min(axis=0)


def test_proposals_and_their_classes(outputs):
    index, distance = nearest(outputs["rpn_rois"][0], ORACLE["rpn_rois"][0])
    assert distance.max() < 1
    for name in ("mrcnn_class", "mrcnn_bbox"):
        np.testing.assert_allclose(outputs[name][0][index], ORACLE[name][0], atol=1e-3)


def test_detections_and_masks(outputs):
    found, wanted = outputs["detections"][0], ORACLE["detections"][0]
    index, distance = nearest(found, wanted)
    assert distance.max() < 1
    np.testing.assert_array_equal(found[index, 4], wanted[:, 4])
    np.testing.assert_allclose(found[index, 5], wanted[:, 5], atol=1e-3)
    ours, theirs = outputs["mrcnn_mask"][0][index] > 0.5, ORACLE["mrcnn_mask"][0] > 0.5
    both, either = (ours & theirs).sum(axis=(1, 2)), (ours | theirs).sum(axis=(1, 2))
    assert (both >= 0.99 * either).all()


def test_detect(model):
    result = model.detect([ORACLE["image"]])[0]
    order = np.lexsort(result["rois"].T)
    wanted = np.lexsort(ORACLE["result_rois"].T)
    np.testing.assert_allclose(result["rois"][order], ORACLE["result_rois"][wanted], atol=1)
    np.testing.assert_allclose(result["scores"][order], ORACLE["result_scores"][wanted], atol=1e-3)
    np.testing.assert_array_equal(result["class_ids"][order], ORACLE["result_class_ids"][wanted])
    areas = result["masks"].sum(axis=(0, 1))
    np.testing.assert_allclose(areas[order], ORACLE["result_mask_area"][wanted], rtol=0.02)


def test_weights_travel_both_ways(model, weight_file, tmp_path):
    import h5py

    own = tmp_path / "own.h5"
    model.save_weights(own)
    with h5py.File(own) as ours, h5py.File(weight_file) as theirs:
        assert set(ours.attrs["layer_names"]) == set(theirs.attrs["layer_names"])
        for layer in theirs:
            assert set(ours[layer].attrs["weight_names"]) == set(theirs[layer].attrs["weight_names"])
            for name in theirs[layer].attrs["weight_names"]:
                np.testing.assert_array_equal(ours[layer][name], theirs[layer][name])
