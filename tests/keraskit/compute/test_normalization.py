"""The fused batch normalisation gives what Keras' own gives: outputs, gradients, moments."""

import keras
import numpy as np
import pytest

from keraskit.compute.normalization import BatchNormalization


def pair(**options):
    layers = [
        kind(momentum=0.9, epsilon=1e-3, **options) for kind in (BatchNormalization, keras.layers.BatchNormalization)
    ]
    rng = np.random.default_rng(4)
    for layer in layers:
        layer.build((None, 5, 6, 3))
    weights = [rng.uniform(0.5, 2, w.shape).astype("float32") for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def images():
    return np.random.default_rng(5).normal(1.5, 2.0, (4, 5, 6, 3)).astype("float32")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_same_as_keras(training, frozen, options):
    ours, theirs = pair(**options)
    ours.trainable = theirs.trainable = not frozen
    outputs = [keras.ops.convert_to_numpy(layer(images(), training=training)) for layer in (ours, theirs)]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=2e-5, atol=2e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_moments_by_hand():
    layer = BatchNormalization(momentum=0.75, epsilon=1e-3)
    x = np.array([1.0, 3.0, 5.0, 7.0], "float32").reshape(1, 2, 2, 1)
    layer(x, training=True)
    gamma, beta, mean, variance = layer.get_weights()
    # mean 4, biased variance 5; 0.75 x 0 + 0.25 x 4 and 0.75 x 1 + 0.25 x 5
    np.testing.assert_allclose([gamma[0], beta[0], mean[0], variance[0]], [1, 0, 1, 2], rtol=1e-6)


def test_one_step_of_training_is_the_same():
    results = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        keras.utils.set_random_seed(8)
        inputs = keras.Input((5, 6, 3))
        x = kind(epsilon=1e-3)(keras.layers.Conv2D(4, 3)(inputs))
        model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))
        model.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=False)
        model.train_on_batch(images(), np.ones((4, 4), "float32"))
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_other_ranks_go_to_keras():
    layer = BatchNormalization()
    assert layer(np.ones((4, 7), "float32"), training=True).shape == (4, 7)
