"""What is computed for a sample alone, or folded away, against the whole: same values, same gradients, on any backend."""

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn.config import Config
from mrcnn.network import TrainingModel
from mrcnn.parts import targets
from mrcnn.parts.heads import MaskHead
from mrcnn.parts.normalization import BatchNorm, ConvNorm
from mrcnn.parts.roi_align import flat_pyramid
from mrcnn.parts.rpn import SampledRPN, rpn_graph, rpn_model

RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.normal(size=shape).astype("float32")


def disturb(layer):
    """Weights that no initializer would give: biases and moments that are not 0 and 1."""
    for variable in layer.variables:
        variable.assign(
            np.abs(random(*variable.shape)) + 0.1 if "variance" in variable.name else random(*variable.shape)
        )


def gradients(loss, variables):
    """Of `loss()`, as NumPy arrays, on the backend that runs."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, [v.value for v in variables], unconnected_gradients="zero")
        return [ops.convert_to_numpy(gradient) for gradient in found]
    if keras.backend.backend() == "jax":
        import jax

        def stateless(values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return loss()

        return [np.asarray(gradient) for gradient in jax.jit(jax.grad(stateless))([v.value for v in variables])]
    for variable in variables:
        variable.value.grad = None
    value = loss()
    if value.requires_grad:  # not where nothing is wanted
        value.backward()
    zeros = [np.zeros(v.shape, "float32") for v in variables]
    return [z if v.value.grad is None else v.value.grad.numpy() for v, z in zip(variables, zeros, strict=True)]


def assert_same_gradients(one, other, variables, atol=1e-4):
    for a, b, variable in zip(gradients(one, variables), gradients(other, variables), variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol, err_msg=variable.path)


@pytest.mark.parametrize(("shapes", "stride"), [([(5, 7), (3, 4)], 1), ([(6, 5)], 2), ([(4, 4), (2, 2), (1, 1)], 1)])
def test_the_sampled_rpn_is_the_whole_one_at_its_anchors(shapes, stride):
    ratios, channels = 3, 4
    model = rpn_model(stride, ratios, channels, filters=6)
    disturb(model)
    pyramid = [random(2, height, width, channels) for height, width in shapes]
    logits = rpn_graph(model, pyramid)[0]
    count = int(logits.shape[1])
    anchors = np.stack([RNG.permutation(count), RNG.permutation(count)]).astype("int32")[:, : count // 2 + 1]
    sampled = SampledRPN(model, shapes, ratios, stride)

    def both(dense):
        if dense:
            whole = rpn_graph(model, pyramid)
            return [ops.take_along_axis(whole[i], anchors[..., None], axis=1) for i in (0, 2)]
        return sampled(flat_pyramid(pyramid), anchors)

    for a, b in zip(both(True), both(False), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), ops.convert_to_numpy(b), rtol=1e-4, atol=1e-5)
    losses = [lambda dense=dense: sum(ops.sum(ops.sin(x)) for x in both(dense)) for dense in (True, False)]
    assert_same_gradients(*losses, model.trainable_variables)


def test_sampled_anchors_come_by_index():
    match = np.array([[0, 1, 0, -1, -1, 0], [0, 0, 0, 0, 0, 1]], "int32")
    indices, there = (ops.convert_to_numpy(x).tolist() for x in targets.sampled_anchors(match, 4))
    assert indices == [[1, 3, 4, 0], [5, 0, 0, 0]]
    assert there == [[1, -1, -1, 0], [1, 0, 0, 0]]


def mask_head(train_bn=False):
    class Small(Config):
        NUM_CLASSES = 2
        IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64
        MASK_POOL_SIZE = 3
        TRAIN_BN = train_bn

    keras.utils.set_random_seed(0)
    head = MaskHead(Small(), {2: (16, 16), 3: (8, 8)})
    head.build((None, None, 4), (None, 320, 5))
    return head


REGIONS = np.sort(RNG.random((3, 11, 2, 2)).astype("float32"), axis=2).reshape(3, 11, 4)
TABLE = random(3, 320, 5)


@pytest.mark.parametrize(
    "wanted",
    [np.zeros((3, 11)), np.ones((3, 11)), np.eye(3, 11), np.arange(11) < [[9], [0], [2]], RNG.random((3, 11)) < 0.4],
)
def test_the_mask_head_leaves_out_what_is_not_wanted(wanted):
    wanted = np.asarray(wanted, bool)
    head = mask_head()

    def both(dense):
        masks = head(REGIONS, TABLE, None if dense else wanted)
        return ops.where(wanted[..., None, None, None], masks, 0.0)

    np.testing.assert_allclose(ops.convert_to_numpy(both(True)), ops.convert_to_numpy(both(False)), atol=1e-6)
    losses = [lambda dense=dense: ops.sum(ops.square(both(dense))) for dense in (True, False)]
    assert_same_gradients(*losses, head.trainable_variables)


def test_the_mask_head_computes_nothing_where_nothing_is_wanted(monkeypatch):
    head = mask_head()
    calls = []
    masks = head._masks
    monkeypatch.setattr(head, "_masks", lambda *arguments: calls.append(len(arguments[0][0])) or masks(*arguments))
    if keras.backend.backend() == "jax":
        pytest.skip("JAX traces a branch before it decides")
    head(REGIONS, TABLE, np.zeros((3, 11), bool))
    assert calls == []
    head(REGIONS, TABLE, np.eye(3, 11, dtype=bool))  # three wanted: they fit into the first step
    assert calls == [4]


def test_a_frozen_normalization_goes_into_the_kernel():
    x = random(2, 9, 8, 3)
    conv = keras.layers.Conv2D(5, 3, strides=2, padding="same", name="conv")
    norm = BatchNorm(False, name="norm")
    layer = ConvNorm(conv, norm)
    layer.build(x.shape)
    disturb(layer)
    before = [ops.convert_to_numpy(v) for v in layer.non_trainable_variables]
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x, training=True)), ops.convert_to_numpy(norm(conv(x))), rtol=1e-4, atol=1e-4
    )
    assert_same_gradients(
        lambda: ops.sum(ops.sin(layer(x, training=True))),
        lambda: ops.sum(ops.sin(norm(conv(x)))),
        layer.trainable_variables,
        atol=1e-3,
    )
    for variable, value in zip(layer.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


@pytest.mark.parametrize(("train_bn", "moves"), [(False, False), (None, True), (True, True)])
def test_a_functional_model_in_training_respects_the_settled_mode(train_bn, moves):
    image = keras.Input((4, 4, 2))
    layer = ConvNorm(keras.layers.Conv2D(3, 1, name="conv"), BatchNorm(train_bn, name="norm"))
    model = keras.Model(image, BatchNorm(train_bn, name="last")(layer(image)))
    model(random(2, 4, 4, 2), training=True)
    means = [ops.convert_to_numpy(v) for v in model.non_trainable_variables if v.name == "moving_mean"]
    assert [bool(mean.any()) for mean in means] == [moves, moves]


def test_weight_decay_is_the_mean_square_of_the_kernels():
    image = keras.Input((3,), name="input")
    dense = keras.layers.Dense(4, name="dense")
    model = TrainingModel(image, {"out": dense(image)}, {}, weight_decay=0.5)
    model.loss_means = []
    kernel = ops.convert_to_numpy(dense.kernel)
    bias = random(4)
    dense.bias.assign(bias)
    values = gradients(lambda: model.weight_penalty(), [dense.kernel, dense.bias])
    np.testing.assert_allclose(float(model.weight_penalty()), 0.5 * ((kernel**2).mean() + (bias**2).mean()), rtol=1e-5)
    np.testing.assert_allclose(values[0], 0.5 * 2 * kernel / kernel.size, rtol=1e-5)
    np.testing.assert_allclose(values[1], 0.5 * 2 * bias / bias.size, rtol=1e-5)
