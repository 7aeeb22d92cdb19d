"""The configuration: computed fields, refused names and values."""

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


def test_unknown_fields_are_refused():
    with pytest.raises(AttributeError, match="did you mean NUM_CLASSES"):
        type("Bad", (Config,), {"NUM_CLASES": 3})
    with pytest.raises(AttributeError, match="no field LEARNING_SPEED"):
        Shapes().LEARNING_SPEED = 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"IMAGE_MAX_DIM": 250}, "multiple of 64"),
        ({"BACKBONE_STRIDES": [8, 32], "RPN_ANCHOR_SCALES": [8, 16]}, "neighbours"),
        ({"RPN_ANCHOR_SCALES": [8, 16, 32, 64, 128, 256]}, "5 BACKBONE_STRIDES"),
        ({"IMAGE_CHANNEL_COUNT": 1}, "MEAN_PIXEL needs one value for each of the IMAGE_CHANNEL_COUNT = 1"),
        ({"IMAGE_RESIZE_MODE": "stretch"}, "'square' or 'crop'"),
        ({"USE_RPN_ROIS": False}, "USE_RPN_ROIS"),
        ({"HEAD_NORM": "group"}, "HEAD_NORM must be 'batch' or 'layer', got 'group'"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        type("Bad", (Shapes,), fields)()


def test_levels_without_a_scale_are_left_out():
    """As the mean of Matterport's, where they have no anchors; configurations for the challenge are such."""
    with pytest.warns(UserWarning, match=r"Say BACKBONE_STRIDES = \[4, 8, 16, 32\]"):
        config = type("Pneumonia", (Shapes,), {"RPN_ANCHOR_SCALES": (32, 64, 128, 256)})()
    assert config.BACKBONE_STRIDES == [4, 8, 16, 32]
    assert len(pyramid_anchors(config)) == 3 * (32**2 + 16**2 + 8**2 + 4**2)


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
