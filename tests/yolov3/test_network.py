"""Layers of a description that Keras has in another form: held to Darknet's arithmetic, written as loops."""

from __future__ import annotations

import numpy as np
import pytest

from yolov3 import cfg, network

HEAD = "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nmask=0\nanchors=1,2\nclasses=1\nnum=1\n"


def pooled(image: np.ndarray, size: int, stride: int, padding: int) -> np.ndarray:
    """Darknet's max-pooling of `[h, w]`: windows from -(padding // 2) on, cells beyond the image never the maximum."""
    height, width = ((side + padding - size) // stride + 1 for side in image.shape)
    result = np.empty((height, width), image.dtype)
    for i in range(height):
        for j in range(width):
            top, left = i * stride - padding // 2, j * stride - padding // 2
            result[i, j] = image[max(top, 0) : top + size, max(left, 0) : left + size].max()
    return result


@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 10), (9, 11)])
@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(2, 2, 1), (2, 1, 1), (3, 1, 2), (3, 2, 2), (3, 3, 2), (5, 1, 4), (4, 2, 3), (3, 2, 0), (2, 2, 0)],
)
def test_max_pooling_is_darknets(height: int, width: int, size: int, stride: int, padding: int):
    text = f"[net]\nheight={height}\nwidth={width}\nchannels=1\n[maxpool]\nsize={size}\nstride={stride}\npadding={padding}\n"
    description = cfg.parse(text + HEAD)
    model = network.build(description)
    pool = network.keras.Model(model.input, model.get_layer("pool_0").output)
    image = (
        -np.random.default_rng(0).random((height, width)).astype(np.float32)
    )  # below zero: a border of zeros would win
    result = np.asarray(pool(image[None, :, :, None]))[0, :, :, 0]
    np.testing.assert_array_equal(result, pooled(image, size, stride, padding))
    assert cfg.shapes(description)[0] == (*result.shape, 1)


def test_a_window_of_three_starts_before_the_image():
    # By hand: windows over cells -1..1, 1..3, 3..5 of 0 1 2 3 4 5, stride 2, border of two cells.
    assert pooled(np.arange(6.0)[None], 3, 2, 2).tolist() == [[1.0, 3.0, 5.0]]


@pytest.mark.parametrize(("first", "second"), [(4, 2), (2, 4), (3, 3)])
def test_a_shortcut_adds_the_channels_that_both_have(first: int, second: int):
    convolution = "[convolutional]\nfilters={}\nsize=1\nactivation=linear\n"
    net = "[net]\nheight=4\nwidth=4\nchannels=1\n" + convolution.format(first) + convolution.format(second)
    model = network.build(cfg.parse(net + "[shortcut]\nfrom=-2\nactivation=linear\n" + HEAD))
    parts = [model.get_layer(name).output for name in ("conv_0", "conv_1", "shortcut_2")]
    values = network.keras.Model(model.input, parts)(np.random.default_rng(1).random((1, 4, 4, 1), np.float32))
    before, own, added = (np.asarray(value) for value in values)
    wanted = own.copy()
    wanted[..., : min(first, second)] += before[..., : min(first, second)]
    np.testing.assert_allclose(added, wanted, atol=1e-6)
