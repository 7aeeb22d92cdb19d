"""What lies inside a model, by Matterport's names, in the calls of its notebooks."""

import keras
import numpy as np
import pytest
from keras import ops
from tests.mrcnn.tiny import Boxes, TinyConfig

from mrcnn import model as modellib
from mrcnn import utils
from mrcnn.parts.backbone import resnet_graph
from mrcnn.parts.proposals import STEPS

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def small_resnet(image, stage5=True, train_bn=None):
    """Matterport's ResNet50 up to stage 2, and plain convolutions after it."""
    c1, c2 = resnet_graph(image, "resnet50", train_bn=train_bn)[:2]
    maps = [c1, c2]
    for level in range(3, 6):
        maps.append(
            keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name=f"res{level}")(maps[-1])
        )
    return maps


class One(TinyConfig):
    IMAGES_PER_GPU = 1
    BACKBONE = small_resnet
    RPN_ANCHOR_SCALES = (16, 24)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = modellib.MaskRCNN("inference", One(), tmp_path_factory.mktemp("logs"))
    rng = np.random.default_rng(0)
    for variable in model.keras_model.variables:  # moments and biases that no initializer would give
        if variable.name in ("moving_mean", "moving_variance", "beta", "bias"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def layer(model, name):
    return name, model.keras_model.get_layer(name).output


def test_the_steps_of_the_proposals(model, capsys):
    """The calls of Matterport's inspect_model notebooks."""
    pillar = model.keras_model.get_layer("ROI").output
    nms_node = model.ancestor(pillar, "ROI/rpn_non_max_suppression:0")
    assert model.ancestor(pillar, "ROI/rpn_non_max_suppression/NonMaxSuppressionV3:0") is nms_node
    assert model.ancestor(pillar, "ROI/unheard_of:0") is None
    rpn = model.run_graph(
        [IMAGE],
        [
            layer(model, "rpn_class"),
            ("pre_nms_anchors", model.ancestor(pillar, "ROI/pre_nms_anchors:0")),
            ("refined_anchors", model.ancestor(pillar, "ROI/refined_anchors:0")),
            ("refined_anchors_clipped", model.ancestor(pillar, "ROI/refined_anchors_clipped:0")),
            ("post_nms_anchor_ix", nms_node),
            ("proposals", pillar),
        ],
    )
    assert "post_nms_anchor_ix" in capsys.readouterr().out
    assert next(iter(rpn)) == "rpn_class"
    best = np.argsort(-rpn["rpn_class"][0, :, 1], kind="stable")[:60]  # PRE_NMS_LIMIT
    anchors = utils.norm_boxes(model.anchors, IMAGE.shape[:2])[best]
    np.testing.assert_allclose(rpn["pre_nms_anchors"][0], anchors, atol=1e-6)
    np.testing.assert_array_equal(rpn["refined_anchors_clipped"], rpn["refined_anchors"].clip(0, 1))
    kept = rpn["post_nms_anchor_ix"]
    assert kept.dtype == np.int32
    assert 0 < len(kept) <= 12
    np.testing.assert_array_equal(rpn["refined_anchors_clipped"][0, kept], rpn["proposals"][0, : len(kept)])
    assert not rpn["proposals"][0, len(kept) :].any()
    with pytest.raises(ValueError, match=r"no tensor for \['lost'\]: ancestor knows ROI/pre_nms_anchors:0"):
        model.run_graph([IMAGE], [("lost", None)])
    assert len(STEPS) == 4


def test_heads_and_convolutions_by_name(model):
    names = [
        "input_image", "conv1", "bn_conv1", "conv1_relu", "res2a_branch2a", "bn2a_branch2a", "res2a_branch2a_relu",
        "mrcnn_class_conv1", "mrcnn_class_bn2", "mrcnn_class_logits", "mrcnn_class", "mrcnn_bbox", "mrcnn_detection",
        "roi_align_mask", "mrcnn_mask_conv1", "mrcnn_mask_bn4", "mrcnn_mask_deconv", "mrcnn_mask",
    ]  # fmt: skip
    before = [variable.path for variable in model.keras_model.variables]
    found = model.run_graph([IMAGE], [layer(model, name) for name in names])
    assert [variable.path for variable in model.keras_model.variables] == before
    molded, metas, _ = model.mold_inputs([IMAGE])
    np.testing.assert_array_equal(found["input_image"], molded)
    for normalized, out in (("bn_conv1", "conv1_relu"), ("bn2a_branch2a", "res2a_branch2a_relu")):
        np.testing.assert_allclose(np.maximum(found[normalized], 0), found[out], rtol=1e-3, atol=1e-3)
    conv1 = model.keras_model.get_layer("conv1")
    assert conv1.get_weights()[0].shape == (7, 7, 3, 64)
    padded = np.pad(molded, [(0, 0), (3, 3), (3, 3), (0, 0)])
    first = (padded[0, :7, :7, :, None] * conv1.get_weights()[0]).sum((0, 1, 2)) + conv1.get_weights()[1]
    np.testing.assert_allclose(found["conv1"][0, 0, 0], first, rtol=1e-3, atol=1e-2)

    detections, probs, deltas, masks, *_ = map(np.asarray, model.keras_model.predict_on_batch([molded, metas]))
    for name, value in {"mrcnn_class": probs, "mrcnn_bbox": deltas, "mrcnn_detection": detections}.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
    real = int((detections[0, :, 4] > 0).sum())
    assert real
    np.testing.assert_allclose(found["mrcnn_mask"][0, :real], masks[0, :real], rtol=1e-4, atol=1e-5)
    assert found["mrcnn_class_conv1"].shape == (1, 12, 1, 1, 12)
    assert found["mrcnn_mask_conv1"].shape == (1, 5, 14, 14, 256)
    # The last layer of the masks is a convolution of one cell.
    mask = model.keras_model.get_layer("mrcnn_mask")
    kernel, bias = mask.get_weights()
    logits = found["mrcnn_mask_deconv"][0, :real] @ kernel[0, 0] + bias
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), masks[0, :real], rtol=1e-3, atol=1e-4)
    with pytest.raises(AttributeError, match="mrcnn_class is an operation without weights"):
        model.keras_model.get_layer("mrcnn_class").get_weights()
    with pytest.raises(ValueError, match="unheard_of"):
        model.keras_model.get_layer("unheard_of")


def test_one_level_of_anchors(tmp_path):
    class Lone(TinyConfig):
        RPN_ANCHOR_SCALES = (16,)

    lone = modellib.MaskRCNN("inference", Lone(), tmp_path)
    found = lone.run_graph([IMAGE, IMAGE], [layer(lone, name) for name in ("rpn_class", "rpn_bbox")])
    assert {name: value.shape for name, value in found.items()} == {"rpn_class": (2, 192, 2), "rpn_bbox": (2, 192, 4)}


def test_a_model_that_trains_is_looked_into(tmp_path):
    training = modellib.MaskRCNN("training", One(), tmp_path)
    found = training.run_graph([IMAGE], [layer(training, "conv1"), layer(training, "fpn_p3")])
    assert found["fpn_p3"].shape == (1, 8, 8, 8)
    ops.convert_to_numpy(training.keras_model.get_layer("mrcnn_mask_conv1").weights[0])


class Padded(One):
    IMAGE_RESIZE_MODE = "pad64"
    IMAGE_MIN_DIM = 0
    BACKBONE = One.BACKBONE


def test_images_of_other_shapes(model, tmp_path):
    """A graph for each, of the same weights: what a model made for that shape says."""

    class Larger(Padded):
        IMAGE_MAX_DIM = 128

    path = tmp_path / "weights.h5"
    model.save_weights(path)
    one, larger = (modellib.MaskRCNN("inference", c(), tmp_path) for c in (Padded, Larger))
    one.load_weights(path)
    larger.load_weights(path)
    wide = np.random.default_rng(1).integers(0, 256, (100, 120, 3), np.uint8)
    tall = wide[:, :60]
    results = one.detect([IMAGE, wide, tall, IMAGE])
    assert [r["masks"].shape[:2] for r in results] == [(64, 64), (100, 120), (100, 60), (64, 64)]
    for name, value in larger.detect([wide])[0].items():
        np.testing.assert_allclose(results[1][name], value, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(results[0]["rois"], results[3]["rois"])

    molded, metas, windows = one.mold_inputs([tall])
    assert molded.shape == (1, 128, 64, 3)
    assert windows.tolist() == [[14, 2, 114, 62]]
    assert len(one.get_anchors((128, 64))) == 3 * (16 * 8 + 8 * 4)
    pillar = one.keras_model.get_layer("ROI").output
    outputs = [
        ("kept", one.ancestor(pillar, "ROI/rpn_non_max_suppression:0")),
        layer(one, "mrcnn_class"),
        layer(one, "fpn_p3"),
        layer(one, "input_image"),
    ]
    found = one.run_graph(molded, outputs, image_metas=metas)
    assert found["fpn_p3"].shape == (1, 16, 8, 8)
    np.testing.assert_array_equal(found["input_image"], molded)
    assert found["kept"].ndim == 1
    assert one.detect_molded(molded, metas)[0]["masks"].shape[:2] == (128, 64)
    with pytest.raises(ValueError, match=r"one size are wanted.*\(64, 64, 3\), \(128, 128, 3\)"):
        one.mold_inputs([IMAGE, wide])
    # The weights are the model's, whenever they change.
    one.keras_model.set_weights([0 * weight for weight in one.keras_model.get_weights()])
    assert not one.run_graph(molded, [layer(one, "fpn_p3")], image_metas=metas)["fpn_p3"].any()


def test_images_as_they_are(tmp_path):
    class AsTheyAre(TinyConfig):
        IMAGE_RESIZE_MODE = "none"

    model = modellib.MaskRCNN("inference", AsTheyAre(), tmp_path)
    assert model.detect([IMAGE])[0]["masks"].shape[:2] == (64, 64)
    with pytest.raises(ValueError, match=r"multiples of 32.*got \[48, 64, 3\]; IMAGE_RESIZE_MODE = 'pad64'"):
        model.detect([IMAGE[:48]])
    dataset = Boxes()
    dataset.prepare_made_up(2)
    with pytest.raises(
        ValueError, match=r"image made_up\.\d .*'none' gave \(48, 64, 3\). Train with 'square' or 'crop'"
    ):
        modellib.DataGenerator(dataset, AsTheyAre())[0]


def test_pad64_makes_multiples_of_64():
    image = np.full((100, 64, 3), 7, np.uint8)
    padded, window, scale, padding, crop = utils.resize_image(image, mode="pad64", max_dim=32)
    assert (padded.shape, window, scale, crop) == ((128, 64, 3), (14, 0, 114, 64), 1, None)
    assert padding == [(14, 14), (0, 0), (0, 0)]
    assert (padded[14:114] == 7).all()
    assert not padded[:14].any()
    assert utils.resize_image(image, min_dim=128, mode="pad64")[0].shape == (256, 128, 3)
    assert utils.resize_image(image, min_scale=2, mode="pad64")[1] == (28, 0, 228, 128)
    with pytest.raises(ValueError, match="multiple of 64 as min_dim, got 100"):
        utils.resize_image(image, min_dim=100, mode="pad64")
