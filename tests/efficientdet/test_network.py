"""The whole network: how many numbers it has, by the paper's formulas, and what it says untrained."""

import keras
import numpy as np
import pytest
from keras import ops
from tests.efficientdet.tiny import TINY, backbone

from efficientdet.anchors import anchors
from efficientdet.network import build
from efficientdet.sizes import SIZES, Size


def separable(width: int, out: int) -> int:
    """Depthwise 3x3, pointwise, bias."""
    return 9 * width + width * out + out


def pyramid(size: Size, c3: int, c4: int, c5: int) -> int:
    """Trained numbers of BiFPN: 8 fusions a cell with 19 inputs together; C4 and C5 come in twice, C5 for P6 too."""
    w = size.width
    node = separable(w, w) + 2 * w
    project = [c * w + w + 2 * w for c in (c3, c4, c4, c5, c5, c5)]
    return size.depth * (8 * node + 19) + sum(project)


def heads(size: Size, classes: int, each: int = 9) -> int:
    """Trained numbers of both heads: convolutions shared, normalization of each of five levels."""
    w, d = size.width, size.head_depth
    stem = d * (separable(w, w) + 5 * 2 * w)
    return 2 * stem + separable(w, each * classes) + separable(w, each * 4)


def test_formulas_give_the_papers_d0():
    """Its table 2 has 3.9 million: 3,595,388 trained numbers of EfficientNet-B0 without its last layers, and these."""
    own = pyramid(SIZES["d0"], 40, 112, 320), heads(SIZES["d0"], 90)
    assert own == (196_281, 88_398)
    assert 3_595_388 + sum(own) == 3_880_067


@pytest.mark.parametrize("name", ["d0", "d2"])
def test_the_network_has_as_many(name: str):
    features = backbone(channels=(40, 112, 320))
    network = build(features, SIZES[name], classes=90, anchors=9, norm="batch")
    trained = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    fixed = features.count_params()
    assert trained - fixed == pyramid(SIZES[name], 40, 112, 320) + heads(SIZES[name], 90)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_an_untrained_network_believes_in_nothing_and_moves_no_anchor(norm: str):
    network = build(backbone(), TINY, classes=2, anchors=3, norm=norm)
    scores, corrections = network(np.full((2, 64, 64, 1), 100, np.uint8))
    count = len(anchors(64, 2.0, (1.0,)))
    assert scores.shape == (2, count, 2)
    assert corrections.shape == (2, count, 4)
    assert ops.convert_to_numpy(ops.sigmoid(scores)).mean() == pytest.approx(0.01, abs=0.002)
    assert np.abs(ops.convert_to_numpy(corrections)).max() < 1
    assert {keras.backend.standardize_dtype(x.dtype) for x in (scores, corrections)} == {"float32"}


def test_the_order_of_anchors_is_that_of_the_numbers():
    """A convolution that shows where it looked: the last of the box head is set to the place of its map."""
    network = build(backbone(), TINY, classes=1, anchors=3, norm="group")
    last = network.get_layer("box_predict")
    shape = last.pointwise_kernel.shape
    last.set_weights([np.zeros((3, 3, TINY.width, 1)), np.zeros(shape), np.arange(shape[-1], dtype=np.float32)])
    _, corrections = network(np.zeros((1, 64, 64, 1), np.uint8))
    first = ops.convert_to_numpy(corrections)[0, :4]  # a cell's three anchors of four numbers, then the next cell's
    assert first.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [0, 1, 2, 3]]


def test_a_size_that_does_not_halve_five_times_is_refused():
    with pytest.raises(ValueError, match="image_size must be a multiple of 32 for EfficientDet, got 72"):
        build(backbone(72), TINY, classes=1, anchors=3)
