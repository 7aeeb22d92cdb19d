"""Darknet's .weights files: the order of the numbers, versions of the header, files that do not fit."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.places import SHARED

from yolov3 import architectures, cfg, network, weights

TOTAL = 104 + 72 + 238  # 9 * 8 + 4 * 8, 8 * 8 + 8, 16 * 14 + 14


@pytest.fixture
def net(small: str):
    return network.build(cfg.parse(small))


def write(path: Path, count: int, header: bytes | None = None) -> Path:
    numbers = np.arange(count, dtype="<f4")
    path.write_bytes((struct.pack("<iiiq", 0, 2, 0, 7) if header is None else header) + numbers.tobytes())
    return path


def test_order_of_the_numbers(net, tmp_path: Path):
    path = write(tmp_path / "a.weights", TOTAL)
    assert weights.load(net, path) == weights.Header(0, 2, 0, 7)
    norm, first, second = net.get_layer("norm_0"), net.get_layer("conv_0"), net.get_layer("conv_1")
    assert np.asarray(norm.beta).tolist() == list(range(8))
    assert np.asarray(norm.gamma).tolist() == list(range(8, 16))
    assert np.asarray(norm.moving_mean).tolist() == list(range(16, 24))
    assert np.asarray(norm.moving_variance).tolist() == list(range(24, 32))
    kernel = np.asarray(first.kernel)  # rows, columns, channels, filters
    assert kernel[0, :, 0, 0].tolist() == [32, 33, 34]
    assert kernel[1, 0, 0, 0] == 35
    assert kernel[0, 0, 0, 1] == 41
    assert np.asarray(second.bias).tolist() == list(range(104, 112))
    assert np.asarray(second.kernel)[0, 0, :, 1].tolist() == list(range(120, 128))


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<iiii", 0, 1, 0, 32013312),
        struct.pack("<iiiq", 0, 2, 5, 2**40),
        struct.pack("<iiiq", 1, 0, 0, 3),
        struct.pack("<iiii", 1000, 2, 0, 3),  # marked transposed, long ago: 32 bits
    ],
)
def test_saved_again_the_bytes_are_the_same(net, tmp_path: Path, header: bytes):
    path = write(tmp_path / "a.weights", TOTAL, header)
    loaded = weights.load(net, path)
    weights.save(net, tmp_path / "b.weights", loaded)
    assert (tmp_path / "b.weights").read_bytes() == path.read_bytes()
    assert loaded.seen in (32013312, 2**40, 3)


def test_truncated_files(net, tmp_path: Path):
    path = write(tmp_path / "net.conv.2", 104 + 72)
    untouched = np.asarray(net.get_layer("conv_6").kernel)
    weights.load(net, path, layers=2)
    assert np.asarray(net.get_layer("conv_1").bias)[0] == 104
    np.testing.assert_array_equal(np.asarray(net.get_layer("conv_6").kernel), untouched)
    weights.save(net, tmp_path / "again", weights.Header(seen=7), layers=2)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("count", "layers", "message"),
    [
        (410, None, r"too short by 4 numbers; layer 6 \(convolutional\) wants 238 and 234 are left"),
        (100, None, r"too short by 314 numbers; layer 0 \(convolutional\) wants 104 and 100 are left"),
        (417, None, r"too long by 3 numbers after the last one of layer 6"),
        (TOTAL, 2, r"too long by 238 numbers after the last one of layer 1"),
    ],
)
def test_files_that_do_not_fit(net, tmp_path: Path, count: int, layers: int | None, message: str):
    before = [np.asarray(w) for w in net.weights]
    with pytest.raises(ValueError, match=message):
        weights.load(net, write(tmp_path / "a.weights", count), layers)
    for old, new in zip(before, net.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(new))


def test_no_weight_file(net, tmp_path: Path):
    (tmp_path / "a").write_bytes(b"\0" * 15)
    with pytest.raises(ValueError, match="15 bytes are too few for the header"):
        weights.load(net, tmp_path / "a")
    (tmp_path / "a").write_bytes(b"\0" * 18)
    with pytest.raises(ValueError, match="18 bytes are not a header of 16 bytes and whole 4-byte numbers"):
        weights.load(net, tmp_path / "a")


def test_transfer_from_other_classes(net, small: str, tmp_path: Path):
    description = cfg.parse(small)
    # Six classes instead of two: the head has 2 * (5 + 6) = 22 filters of 16 + 1 numbers.
    head = np.asarray(net.get_layer("conv_6").kernel)
    assert weights.transfer(net, description, write(tmp_path / "a", 104 + 72 + 22 * 17)) == [0, 1]
    assert np.asarray(net.get_layer("conv_1").bias)[0] == 104
    np.testing.assert_array_equal(np.asarray(net.get_layer("conv_6").kernel), head)
    assert weights.transfer(net, description, write(tmp_path / "b", 104)) == [0]
    assert weights.transfer(net, description, write(tmp_path / "c", TOTAL)) == [0, 1, 6]
    with pytest.raises(ValueError, match=r"170 numbers are neither .* \(it ends inside layer 1\)"):
        weights.transfer(net, description, write(tmp_path / "d", 170))
    with pytest.raises(ValueError, match=r"it is longer than the network"):
        weights.transfer(net, description, write(tmp_path / "e", TOTAL + 1))


def test_tiny_round_trip_and_transfer(tmp_path: Path):
    path = SHARED / "weights/yolov3-tiny.weights"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    net = network.build(architectures.describe("yolov3-tiny", 416, 80))
    header = weights.load(net, path)
    assert header == weights.Header(0, 2, 0, 32013312)
    weights.save(net, tmp_path / "again.weights", header)
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()

    weights.save(net, tmp_path / "yolov3-tiny.conv.15", header, layers=15)
    description = architectures.describe("yolov3-tiny", 192, 1)
    other = network.build(description)
    assert weights.transfer(other, description, path) == [0, 2, 4, 6, 8, 10, 12, 13, 14, 18, 21]
    again = network.build(description)
    assert weights.transfer(again, description, tmp_path / "yolov3-tiny.conv.15") == [0, 2, 4, 6, 8, 10, 12, 13, 14]
    kernel = np.asarray(net.get_layer("conv_14").kernel)
    np.testing.assert_array_equal(np.asarray(other.get_layer("conv_14").kernel), kernel)
    np.testing.assert_array_equal(np.asarray(again.get_layer("conv_14").kernel), kernel)


@pytest.mark.slow
def test_yolov3_has_darknets_parameters(tmp_path: Path):
    net = network.build(architectures.describe("yolov3", 416, 80))
    assert net.count_params() == 62_001_757  # as Darknet and its ports count, running averages included
    weights.save(net, tmp_path / "a.weights")
    assert (tmp_path / "a.weights").stat().st_size == 20 + 4 * 62_001_757
    before = np.asarray(net.get_layer("conv_73").kernel)
    net.get_layer("conv_73").kernel.assign(np.zeros_like(before))
    weights.save(net, tmp_path / "zeros.weights")
    header = weights.load(net, tmp_path / "a.weights")
    np.testing.assert_array_equal(np.asarray(net.get_layer("conv_73").kernel), before)
    weights.save(net, tmp_path / "b.weights", header)
    assert (tmp_path / "b.weights").read_bytes() == (tmp_path / "a.weights").read_bytes()
