"""Darknet's .cfg files."""

from __future__ import annotations

import codecs
import logging
from pathlib import Path

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
        MaxPool(2, 2, padding=1),
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
        ("size=3", "size=3\ngroups=2", r"\[convolutional\] groups= is known here at 1 only, got '2'"),
        ("size=3", "size=3\nsway=1", r"\[convolutional\] has options that are not known here: sway"),
        ("num=3", "num=3\nscale_x_y=1.05", r"\[yolo\] scale_x_y= is known here at 1 only, got '1.05'"),
        ("num=3", "num=3\nnew_coords=1", r"\[yolo\] new_coords= is known here at 0 only, got '1'"),
        ("size=3", "size=\u0663", r"x.cfg:\d+: an option is written in ASCII, got 'size=\u0663'"),
        (
            "layers=-1, 2",
            "layers=-1, 3",
            r"x.cfg:\d+: \[route\] brings layers of different sizes together: 16x32 and 8x16",
        ),
        ("from=-2", "from=-3", r"\[shortcut\] is layer 2 and can only refer to layers before it, got -3"),
        (
            "filters=14",
            "filters=21",
            r"x.cfg:42: \[yolo\] is layer 7: with 2 anchors and 2 classes it wants .* filters=14 .* filters=21",
        ),
        ("layers=-1, 2", "layers=-1, 9", r"\[route\] is layer 5 and can only refer to layers before it, got 9"),
        ("activation=leaky", "activation=mish", r"activation= must be one of leaky, linear, got 'mish'"),
        ("num=3", "num=4", r"num=4 wants 8 numbers in anchors=, got 6"),
        ("mask = 0,2", "mask = 0,3", r"mask= must name anchors 0 to 2, got \[0, 3\]"),
        ("filters=8", "filters=many", r"filters= must be whole numbers, one between two commas, got 'many'"),
        (
            "size=2\nstride=2",
            "size=2\nstride=2\npadding=3",
            r"\[maxpool\] wants padding= of at most 2 x \(size - 1\)",
        ),
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


@pytest.mark.parametrize(
    "comment",
    [
        "# größer".encode("latin-1"),
        "# 训练".encode("gbk"),
        "# größer".encode(),
        b"# \x85width=1",
        b"; \x0cwidth=1",
        b"# \xff\x00",
    ],
)
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_bytes_of_comments_mean_nothing(small: str, tmp_path: Path, comment: bytes, mark: bytes, ending: bytes):
    path = tmp_path / "some.cfg"
    path.write_bytes(
        mark + small.replace("[net]", "[net]\n@", 1).encode().replace(b"@", comment).replace(b"\n", ending)
    )
    assert cfg.read(path) == cfg.parse(small)


def test_utf_16_is_named(small: str, tmp_path: Path):
    path = tmp_path / "some.cfg"
    path.write_text(small, encoding="utf-16")
    with pytest.raises(ValueError, match=r"some.cfg: the file is in UTF-16, .* save it as ASCII or UTF-8"):
        cfg.read(path)


def test_of_an_option_given_twice_the_first_counts(small: str, caplog: pytest.LogCaptureFixture):
    twice = small.replace("width = 64", "width = 64\nwidth=96", 1)
    with caplog.at_level(logging.WARNING):
        assert cfg.parse(twice, "x.cfg") == cfg.parse(small)
    assert caplog.messages == ["x.cfg:4: width= stands twice; as in Darknet the first counts: 64"]


def test_what_steers_training_alone_is_read_over(small: str):
    more = (
        "iou_loss=ciou\niou_normalizer=0.07\ncls_normalizer=1.0\nnms_kind=greedynms\nscale_x_y=1.0\nmax_delta=5\nnum=3"
    )
    assert cfg.parse(small.replace("num=3", more, 1)) == cfg.parse(small)


def test_shapes_follow_the_layers():
    description = architectures.describe("yolov3-tiny", 416, 80)
    found = cfg.shapes(description)
    # Darknet prints these for its own yolov3-tiny.cfg: layers 0, 11 (pooled by one cell), 15, 20 and 22.
    assert [found[n] for n in (0, 11, 15, 20, 22)] == [
        (416, 416, 16), (13, 13, 512), (13, 13, 255), (26, 26, 384), (26, 26, 255),
    ]  # fmt: skip


ODD = {
    "integer": (
        "1e3",
        "6_08",
        "1.6e1",
        "1.0",
        "0x10",
        "1,",
        ",1",
        "",
        "inf",
        "1e309",
        "nan",
        "1 2",
        "2147483648",
        "+-1",
    ),
    "size": ("0", "-3"),
    "number": ("nan", "inf", "1e309", "1_0", "", "0x1p3", "infinity", "1.2.3"),
    "whole": ("0,1e0", "0,0x1"),
    "list": ("", ",", "0,", ",0", "0,,1", "0 1", "0 # a, b"),
}


@pytest.mark.parametrize(
    ("section", "old", "kinds"),
    [
        ("net", "width = 64   # pixels", ("integer", "size")),
        ("net", "height=32", ("integer", "size")),
        ("net", "channels=1", ("integer", "size")),
        ("convolutional", "filters=8", ("integer", "size")),
        ("convolutional", "size=3", ("integer", "size")),
        ("convolutional", "stride=2", ("integer", "size")),
        ("convolutional", "batch_normalize=1", ("integer",)),
        ("convolutional", "pad=1", ("integer",)),
        ("shortcut", "from=-2", ("integer",)),
        ("route", "layers=-1, 2", ("list", "whole")),
        ("yolo", "mask = 0,2", ("list", "whole")),
        ("yolo", "anchors = 1,2, 3.5,4, 5,6", ("list", "number")),
        ("yolo", "classes=2", ("integer", "size")),
        ("yolo", "num=3", ("integer", "size")),
        ("yolo", "ignore_thresh=.7", ("number",)),
    ],
)
def test_a_number_that_darknet_reads_otherwise_is_refused(small: str, section: str, old: str, kinds: tuple[str, ...]):
    key = old.partition("=")[0].strip()
    for value in (value for kind in kinds for value in ODD[kind]):
        with pytest.raises(ValueError, match=rf"^x.cfg:\d+: \[{section}\] {key}= "):
            cfg.parse(small.replace(old, f"{key}={value}", 1), "x.cfg")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e999"])
@pytest.mark.parametrize("place", range(6))
def test_an_anchor_has_a_side(small: str, value: str, place: int):
    anchors = ["1", "2", "3.5", "4", "5", "6"]
    anchors[place] = value
    with pytest.raises(ValueError, match=r"x.cfg:42: \[yolo\] anchors= must be "):
        cfg.parse(small.replace("1,2, 3.5,4, 5,6", ",".join(anchors)), "x.cfg")


@pytest.mark.parametrize("option", ["size=0", "size=-3", "stride=0", "stride=-1", "padding=-1"])
@pytest.mark.parametrize("kind", ["convolutional", "maxpool", "upsample"])
def test_a_layer_has_a_size(small: str, kind: str, option: str):
    if kind == "upsample" and not option.startswith("stride"):
        return
    before = small.index("[shortcut]")
    made = f"{small[:before]}[{kind}]\n{option}\n\n{small[before:]}"
    with pytest.raises(ValueError, match=rf"x.cfg:\d+: \[{kind}\] {option.partition('=')[0]}= must be [01] at least"):
        cfg.parse(made, "x.cfg")


def test_a_comment_behind_an_option_is_what_darknet_makes_of_it(small: str):
    """Atoi stops at it, a list counts its commas, and a word it is part of."""
    behind = small.replace("size=3", "size=3 # größe").replace("layers=-1, 2", "layers=-1, 2 ; both")
    assert cfg.parse(behind) == cfg.parse(small)
    for old, new in (("activation=leaky", "activation=leaky # x"), ("layers=-1, 2", "layers=-1, 2 # one, two")):
        with pytest.raises(
            ValueError, match=r"x.cfg:\d+: \[\w+\] (activation= must be one of .*: remove it|layers= must)"
        ):
            cfg.parse(small.replace(old, new, 1), "x.cfg")
    with pytest.raises(ValueError, match=r"x.cfg:2: a section is written \[name\], got '\[net\] # x'"):
        cfg.parse(small.replace("[net]", "[net] # x"), "x.cfg")


@pytest.mark.parametrize("value", [".7", "0.7", "7e-1", "+.7", "70E-2", "0.7;"])
def test_numbers_as_atof_reads_them(small: str, value: str):
    assert cfg.parse(small.replace("ignore_thresh=.7", f"ignore_thresh={value}")) == cfg.parse(small)
