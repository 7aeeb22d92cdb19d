"""The classifier's layers."""

import pytest

from pneumonia.models.classifier.network import build, with_classes


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


def test_classes_stand_beside_the_score_and_leave_the_model_as_it_is():
    model = build("resnet_small", 64)
    before = [layer.name for layer in model.layers]
    both = with_classes(model, 3)
    assert {name: tuple(output.shape) for name, output in both.output.items()} == {
        "score": (None, 1),
        "classes": (None, 3),
    }
    assert both.count_params() == model.count_params() + 3 * 161
    assert [layer.name for layer in model.layers] == before
    assert both.get_layer("score") is model.get_layer("score")
