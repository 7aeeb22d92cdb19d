"""What describes and configures Mask R-CNN's network."""

import pytest

from pneumonia.models.maskrcnn.network import configure, describe


@pytest.mark.parametrize(
    ("weights", "train_bn"), [("none", None), ("imagenet", None), ("coco", False), ("weights/own.h5", False)]
)
def test_new_heads_learn_their_moments_and_a_detectors_keep_them(weights, train_bn):
    described = describe(64, "resnet50", weights, True, [16, 24, 48], [1.0])
    assert configure(described).TRAIN_BN is train_bn


def test_the_box_heads_normalization_is_described():
    described = describe(64, "resnet_small", "none", False, [16], [1.0], "layer")
    assert configure(described).HEAD_NORM == "layer"
    del described["head_norm"]  # a model.json of before
    assert configure(described).HEAD_NORM == "batch"


def test_too_many_scales_are_refused():
    with pytest.raises(ValueError, match=r"anchors\.scales must have 1 to 5 values"):
        describe(64, "resnet_small", "none", False, [1] * 6, [1])
