"""A classifier that was loaded: its scores, and maps that say where they come from."""

import keras
import numpy as np
import pytest
from tests.pneumonia.models.classifier.squares import SIZE, STUDIES, Store, fit

from pneumonia.models.classifier.network import build
from pneumonia.models.classifier.trained import Classifier, load


def test_loaded_predicts_what_was_validated(trained):
    folder, result, _ = trained
    model = load(folder / "model")
    part = STUDIES[STUDIES["subset"] == "validation"]
    scores, cam = model.predict(Store(STUDIES).batch(part["study"]))
    assert scores.shape == (24,)
    assert cam.shape == (24, 1, 1)
    positive, negative = scores[part["target"] == 1], scores[part["target"] == 0]
    pairs = positive[:, None] - negative[None]
    assert np.mean(pairs > 0) + np.mean(pairs == 0) / 2 == pytest.approx(result.metrics["auc"], abs=1e-6)


def test_map_is_exact_for_any_size():
    keras.utils.set_random_seed(5)
    model = build("resnet_small", 96)
    kernel = np.random.default_rng(0).normal(0, 0.05, size=(160, 1))
    model.get_layer("score").set_weights([kernel, np.array([0.3])])
    images = np.random.default_rng(1).integers(0, 256, (2, 96, 96), dtype=np.uint8)
    scores, cam = Classifier(model).predict(images)
    direct = keras.ops.convert_to_numpy(model(images[..., None].astype("float32")))[:, 0]
    assert cam.shape == (2, 3, 3)
    np.testing.assert_allclose(scores, direct, rtol=1e-4)
    np.testing.assert_allclose(np.log(direct / (1 - direct)), cam.mean((1, 2)), rtol=1e-3, atol=1e-3)


def test_a_hidden_layer_is_explained_by_gradients(tmp_path):
    fit(tmp_path / "model", hidden=6, epochs=3)
    model = load(tmp_path / "model")
    images = Store(STUDIES).batch(STUDIES["study"][:12])
    scores, cam = model.predict(images)
    network = build("resnet_small", SIZE, hidden=6)
    network.load_weights(tmp_path / "model" / "model.weights.h5")
    direct = keras.ops.convert_to_numpy(network(images[..., None].astype("float32")))[:, 0]
    np.testing.assert_allclose(scores, direct, rtol=1e-4)
    # One cell: the map is ReLU of features x gradient, worked out here with the weights of both layers.
    features = keras.ops.convert_to_numpy(
        keras.Model(network.input, network.get_layer("pool").output)(images[..., None].astype("float32"))
    )
    first, bias = network.get_layer("hidden").get_weights()
    last, _ = network.get_layer("score").get_weights()
    slope = ((features @ first + bias > 0) * last[:, 0]) @ first.T
    np.testing.assert_allclose(cam[:, 0, 0], np.maximum((features * slope).sum(1), 0), rtol=1e-3, atol=1e-5)
    assert cam.max() > 0


def test_wrong_size_and_no_images(trained):
    model = load(trained[0] / "model")
    with pytest.raises(ValueError, match=r"must be \[B, 32, 32\], got \[1, 64, 64\]"):
        model.predict(np.zeros((1, 64, 64), np.uint8))
    scores, cam = model.predict(np.zeros((0, 32, 32), np.uint8))
    assert scores.shape == (0,)
    assert cam.shape == (0, 1, 1)
