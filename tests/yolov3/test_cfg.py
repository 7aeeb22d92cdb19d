"""Darknet's .cfg files."""

from __future__ import annotations

import pytest
from tests.places import SHARED

from yolov3 import architectures, cfg
from yolov3.cfg import Convolutional, MaxPool, Route, Shortcut, Upsample, Yolo


def test_sections_become_layers_with_absolute_references(small: str):
    description = cfg.parse(small)
    assert (description.width, description.height, description.channels) == (64, 32, 1)
    assert description.layers == (
        Convolutional(8, 3, 2, padding=1, batch_normalize=True, activation="leaky"),
        Convolutional(8, 1, 1, padding=0, batch_normalize=False, activation="linear"),
        Shortcut(0),
        MaxPool(2, 2),
        Upsample(2),
        Route((4, 2)),
        Convolutional(14, 1, 1, padding=0, batch_normalize=False, activation="linear"),  # 2 * (5 + 2)
        Yolo((0, 2), ((1.0, 2.0), (3.5, 4.0), (5.0, 6.0)), 2, 0.7),
    )
    assert description.heads[0].own_anchors == ((1.0, 2.0), (5.0, 6.0))
    assert description.classes == 2


def test_text_reads_back_equal(small: str):
    for description in (
        cfg.parse(small),
        architectures.describe("yolov3", 416, 80),
        architectures.describe("yolov3-tiny", 192, 1, [(10.25, 20.5)] * 6),
    ):
        assert cfg.parse(cfg.to_text(description)) == description


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[upsample]", "[reorg]", r"x.cfg:29: \[reorg\] is not a section of YOLOv3; known are convolutional, maxpool"),
        ("size=3", "size=3\ngroups=2", r"\[convolutional\] has options that are not known here: groups"),
        (
            "filters=14",
            "filters=21",
            r"layer 7 \[yolo\] with 2 anchors and 2 classes wants .* filters=14 .* filters=21",
        ),
        ("layers=-1, 2", "layers=-1, 9", r"\[route\] is layer 5 and can only refer to layers before it, got 9"),
        ("activation=leaky", "activation=mish", r"activation= must be one of leaky, linear, got 'mish'"),
        ("num=3", "num=4", r"num=4 wants 8 numbers in anchors=, got 6"),
        ("mask = 0,2", "mask = 0,3", r"mask= must name anchors 0 to 2, got \[0, 3\]"),
        ("filters=8", "filters=many", r"filters= must be numbers, got 'many'"),
        ("size=2\nstride=2", "size=3\nstride=2", r"\[maxpool\] wants stride=1 or stride=size"),
        ("[net]", "[convolutional]", r"the first section must be \[net\], found 'convolutional'"),
        ("width = 64", "width : 64", r"x.cfg:3: wanted \[section\] or option=value, got 'width : 64'"),
    ],
)
def test_errors_name_place_and_cure(small: str, old: str, new: str, message: str):
    with pytest.raises(ValueError, match=message):
        cfg.parse(small.replace(old, new, 1), "x.cfg")


def test_nothing_to_detect_is_an_error(small: str):
    with pytest.raises(ValueError, match=r"no \[yolo\] section"):
        cfg.parse(small[: small.index("; two")], "x.cfg")


def test_our_tiny_network_is_darknets():
    path = SHARED / "weights/yolov3-tiny.cfg"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    assert architectures.describe("yolov3-tiny", 416, 80, ignore_threshold=0.7) == cfg.read(path)


def test_yolov3_layer_numbers():
    layers = architectures.describe("yolov3", 416, 80).layers
    assert len(layers) == 107  # Darknet counts them to 106
    assert [index for index, layer in enumerate(layers) if isinstance(layer, Yolo)] == [82, 94, 106]
    assert [(i, x.layers) for i, x in enumerate(layers) if isinstance(x, Route)] == [
        (83, (79,)),
        (86, (85, 61)),
        (95, (91,)),
        (98, (97, 36)),
    ]
    # 52 convolutions before layer 75 are Darknet-53 without its classifier
    assert sum(isinstance(layer, Convolutional) for layer in layers[:75]) == 52
    assert isinstance(layers[74], Shortcut)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("yolov4", 416, 80), "network must be one of yolov3, yolov3-tiny, got 'yolov4'"),
        (("yolov3", 400, 80), "multiple of 32, got 400"),
        (("yolov3", 416, 0), "classes must be 1 or more, got 0"),
        (("yolov3-tiny", 416, 1, [(1, 2)]), "wants 6 anchors"),
    ],
)
def test_impossible_networks(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        architectures.describe(*arguments)


def test_coco_anchors_follow_the_size():
    anchors = architectures.describe("yolov3-tiny", 832, 1).heads[0].anchors
    assert anchors[0] == (20.0, 28.0)  # (10, 14) at 416
    assert anchors[-1] == (688.0, 638.0)
