"""The classifier's layers."""

import pytest

from pneumonia.models.classifier.network import build


# resnet_small ends in 160 channels: a score has 160 + 1 numbers; 6 hidden units 6 * (160 + 1), and then 6 + 1.
@pytest.mark.parametrize(("hidden", "head"), [(0, 161), (6, 6 * 161 + 7)])
def test_the_head_is_pooling_and_one_or_two_layers(hidden, head):
    model = build("resnet_small", 64, hidden=hidden)
    assert model.input.shape == (None, 64, 64, 1)
    assert model.output.shape == (None, 1)
    names = [layer.name for layer in model.layers]
    after = names[names.index("pool") :]
    assert after == ["pool", *(["hidden"] if hidden else []), "dropout", "score"]
    assert sum(model.get_layer(name).count_params() for name in after) == head
