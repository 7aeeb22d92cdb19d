"""The pyramid against numbers worked out by hand."""

import numpy as np
import pytest
from keras import ops

from efficientdet.bifpn import FastFusion, Upsample, bifpn, normalization


def test_fast_normalized_fusion_by_hand():
    three, five = np.full((1, 2, 2, 1), 3, np.float32), np.full((1, 2, 2, 1), 5, np.float32)
    layer = FastFusion()
    # equal weights: (3 + 5) / 2.0001
    np.testing.assert_allclose(ops.convert_to_numpy(layer([three, five])), np.full((1, 2, 2, 1), 8 / 2.0001), rtol=1e-6)
    layer.set_weights([np.array([1, 3], np.float32)])  # (3 + 15) / 4.0001
    np.testing.assert_allclose(ops.convert_to_numpy(layer([three, five])).max(), 18 / 4.0001, rtol=1e-6)
    layer.set_weights([np.array([-2, 3], np.float32)])  # a negative weight counts as 0: 15 / 3.0001
    np.testing.assert_allclose(ops.convert_to_numpy(layer([three, five])).min(), 15 / 3.0001, rtol=1e-6)
    layer.set_weights([np.array([-2, -3], np.float32)])
    assert ops.convert_to_numpy(layer([three, five])).max() == 0  # and no division by it


def test_a_level_is_doubled_and_cut():
    x = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    found = ops.convert_to_numpy(Upsample(3, 3)(x))[0, :, :, 0]
    assert found.tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


def test_levels_have_half_the_cells_of_the_one_before():
    features = {stride: np.zeros((1, 96 // stride, 96 // stride, 4), np.float32) for stride in (8, 16, 32)}
    found = bifpn({k: ops.convert_to_tensor(v) for k, v in features.items()}, 8, 1, "group")
    assert [tuple(level.shape) for level in found] == [(1, n, n, 8) for n in (12, 6, 3, 2, 1)]


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="norm must be one of group, batch, got 'layer'"):
        normalization("layer", "x")
