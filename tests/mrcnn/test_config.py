"""The configuration: computed fields, refused names and values."""

import warnings

import numpy as np
import pytest

from mrcnn.config import Config
from mrcnn.parts.anchors import compute_backbone_shapes, pyramid_anchors


class Shapes(Config):
    NAME = "shapes"
    NUM_CLASSES = 1 + 3
    IMAGES_PER_GPU = 8
    IMAGE_MIN_DIM = 128
    IMAGE_MAX_DIM = 128
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)


def test_computed_fields():
    config = Shapes()
    assert config.BATCH_SIZE == 8
    assert config.IMAGE_SHAPE.tolist() == [128, 128, 3]
    assert config.IMAGE_META_SIZE == 12 + 4


def test_defaults_are_matterports():
    config = Config()
    assert (config.BACKBONE, config.IMAGE_MAX_DIM, config.TRAIN_ROIS_PER_IMAGE) == ("resnet101", 1024, 200)
    assert (config.PRE_NMS_LIMIT, config.POST_NMS_ROIS_TRAINING, config.POST_NMS_ROIS_INFERENCE) == (6000, 2000, 1000)
    assert (config.HEAD_NORM, config.BBOX_LOSSES_PER_SAMPLE, set(config.LOSS_WEIGHTS.values())) == (
        "batch",
        False,
        {1.0},
    )
    assert (config.LEARNING_RATE, config.WEIGHT_DECAY, config.GRADIENT_CLIP_NORM) == (0.001, 0.0001, 5.0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("NUM_CLASES", "NUM_CLASSES"), ("STEP_PER_EPOCH", "STEPS_PER_EPOCH"), ("RPN_ANCHOR_SCALE", "RPN_ANCHOR_SCALES")],
)
def test_a_name_that_is_nearly_a_fields_brings_a_hint(name, meant):
    with pytest.warns(UserWarning, match=f"{name} is no field.*did you mean {meant}?"):
        type("Bad", (Config,), {name: 3})
    config = Shapes()
    with pytest.warns(UserWarning, match=f"{name} is no field.*did you mean {meant}?"):
        setattr(config, name, 3)


@pytest.mark.parametrize(
    "name", ["ORIG_SIZE", "LEARNING_RATE_HEADS", "IMAGE_DIM", "CLASS_NAMES", "MIN_CONFIDENCE", "EPOCHS"]
)
def test_fields_of_a_projects_own(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = type("Own", (Config,), {name: 3})()
        setattr(config, f"MY_{name}", 4)
    assert config.to_dict()[name] == 3
    assert config.to_dict()[f"MY_{name}"] == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"IMAGE_MAX_DIM": 250}, "multiple of 64"),
        ({"BACKBONE_STRIDES": [8, 32], "RPN_ANCHOR_SCALES": [8, 16]}, "neighbours"),
        ({"RPN_ANCHOR_SCALES": [8, 16, 32, 64, 128, 256]}, "5 BACKBONE_STRIDES"),
        ({"RPN_ANCHOR_SCALES": []}, "5 BACKBONE_STRIDES"),
        ({"IMAGE_CHANNEL_COUNT": 1}, "MEAN_PIXEL needs one value for each of the IMAGE_CHANNEL_COUNT = 1"),
        ({"IMAGE_RESIZE_MODE": "stretch"}, "must be one of .*'pad64'"),
        ({"USE_RPN_ROIS": False}, "USE_RPN_ROIS"),
        ({"HEAD_NORM": "group"}, "HEAD_NORM must be 'batch' or 'layer', got 'group'"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        type("Bad", (Shapes,), fields)()


def test_fewer_scales_make_fewer_anchors_and_nothing_else():
    """As Matterport's; configurations for the challenge are such."""
    config = type("Pneumonia", (Shapes,), {"RPN_ANCHOR_SCALES": (32, 64)})()
    assert list(config.BACKBONE_STRIDES) == [4, 8, 16, 32, 64]
    found = pyramid_anchors(config)
    assert len(found) == 3 * (32**2 + 16**2)
    np.testing.assert_array_equal(
        found, pyramid_anchors(type("Five", (Shapes,), {"RPN_ANCHOR_SCALES": (32, 64, 1, 2, 3)})())[: len(found)]
    )


def test_functions_among_the_fields():
    """Methods where they have the configuration as an argument, as Matterport's are called; values otherwise."""

    def free(image_shape):
        return np.array([[image_shape[0] // 8] * 2])

    def owned(self, image_shape):
        return np.array([[self.IMAGE_MAX_DIM // 16] * 2])

    class Free(Shapes):
        BACKBONE = staticmethod(lambda image, stage5, train_bn: None)
        COMPUTE_BACKBONE_SHAPE = free

    class Owned(Free):
        COMPUTE_BACKBONE_SHAPE = owned

    assert compute_backbone_shapes(Free(), (128, 128, 3)).tolist() == [[16, 16]]
    assert compute_backbone_shapes(Owned(), (128, 128, 3)).tolist() == [[8, 8]]


def test_what_is_no_field_may_be_set():
    config = Shapes()
    config.class_names = ["BG", "square"]
    assert "class_names" not in config.to_dict()


def test_display(capsys):
    Shapes().display()
    assert "NUM_CLASSES                    4\n" in capsys.readouterr().out
