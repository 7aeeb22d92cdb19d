"""Grad-CAM against the class activation map where both are defined, and against a case worked by hand."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pneumonia.models.classifier import trained
from pneumonia.models.classifier.grad_cam import grad_cam, gradients
from pneumonia.models.classifier.network import build

AGREE = """
import keras, numpy as np
from pneumonia.models.classifier.grad_cam import grad_cam
assert keras.backend.backend() == {backend!r}
rng = np.random.default_rng(3)
features, kernel = rng.normal(size=(2, 3, 4, 5)).astype("float32"), rng.normal(size=5).astype("float32")
maps = grad_cam(lambda x: keras.ops.matmul(keras.ops.mean(x, axis=(1, 2)), kernel) + 0.7, features)
np.testing.assert_allclose(maps, np.maximum(features @ kernel, 0) / 12, rtol=1e-4, atol=1e-6)
assert (maps > 0).any() and (maps == 0).any()
"""


def test_it_is_the_class_activation_map_for_pooling_and_one_layer():
    """Selvaraju et al. 2017, sec. 3.1: equal up to 1 / (h x w); the bias belongs to no place, and ReLU cuts below 0."""
    import keras

    keras.utils.set_random_seed(5)
    network = build("resnet_small", 96)
    kernel = np.random.default_rng(0).normal(0, 0.05, size=(160, 1)).astype(np.float32)
    network.get_layer("score").set_weights([kernel, np.array([0.3])])
    images = np.random.default_rng(1).integers(0, 256, (3, 96, 96), dtype=np.uint8)
    _, cam = trained.Classifier(network).predict(images)
    pooled = network.get_layer("pool")
    features = keras.ops.convert_to_numpy(keras.Model(network.input, pooled.input)(images[..., None].astype("float32")))
    maps = grad_cam(lambda x: keras.ops.matmul(pooled(x), kernel)[:, 0] + 0.3, features)
    assert maps.shape == (3, 3, 3)
    assert maps.max() > 0.001
    np.testing.assert_allclose(maps, np.maximum(cam - 0.3, 0) / 9, rtol=1e-3, atol=1e-5)


def test_channels_count_by_the_mean_of_their_gradient():
    import keras

    # Score: channel 0 at place (0, 0), squared, less channel 1 summed over all places.
    def head(x):
        return keras.ops.square(x[:, 0, 0, 0]) - keras.ops.sum(x[..., 1], axis=(1, 2))

    features = np.array([[[[3, 1], [4, 0]]]], np.float32)  # [1, 1, 2, 2]
    np.testing.assert_allclose(gradients(head, features), [[[[6, -1], [0, -1]]]])
    # Weights 6 / 2 and -1: 3 x 3 - 1 = 8 and 3 x 4 - 0 = 12.
    np.testing.assert_allclose(grad_cam(head, features), [[[8, 12]]])
    # Where all lowers the score nothing is left.
    np.testing.assert_allclose(grad_cam(lambda x: -keras.ops.sum(x, axis=(1, 2, 3)), np.abs(features)), [[[0, 0]]])


def test_features_of_one_study_are_refused():
    with pytest.raises(ValueError, match=r"must be \[B, h, w, C\], got \[3, 3, 8\]"):
        grad_cam(lambda x: x, np.zeros((3, 3, 8), np.float32))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_agree(backend):
    pytest.importorskip(backend)
    environment = os.environ | {"KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", AGREE.format(backend=backend)], check=True, env=environment)
