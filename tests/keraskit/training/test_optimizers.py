"""The optimizer against steps worked out by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from keraskit.training.optimizers import AdamW, WarmUp, adamw


def value(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_warm_up_then_cosine():
    rate = WarmUp(peak=1.0, total=10, warmup=2)
    # 1/2, 2/2, then 0.5 (1 + cos(pi t / 8)) for t = 0, 2, 4, 6, 8
    wanted = {0: 0.5, 1: 1.0, 2: 1.0, 4: 0.853553, 6: 0.5, 8: 0.146447, 10: 0.0, 99: 0.0}
    assert {step: float(value(rate(step))) for step in wanted} == pytest.approx(wanted, abs=1e-6)


def test_steps():
    rate = WarmUp(peak=2.0, total=100, warmup=10, schedule="steps")
    wanted = {0: 0.2, 9: 2.0, 10: 2.0, 79: 2.0, 80: 0.2, 89: 0.2, 90: 0.02, 99: 0.02}
    assert {step: float(value(rate(step))) for step in wanted} == pytest.approx(wanted, rel=1e-5)


def variables():
    kernel = keras.Variable(np.full((2, 2), 2.0, "float32"), name="kernel")
    bias = keras.Variable(np.full(2, 2.0, "float32"), name="bias")
    return kernel, bias


def test_first_step_by_hand():
    # Adam's first step is the rate times the sign of the gradient (to epsilon); decay takes rate x 0.5 x value first.
    kernel, bias = variables()
    optimizer = AdamW(0.1, decay=0.5)
    optimizer.apply([np.full((2, 2), 3.0, "float32"), np.full(2, -3.0, "float32")], [kernel, bias])
    np.testing.assert_allclose(value(kernel), np.full((2, 2), 2.0 - 0.1 * 0.5 * 2.0 - 0.1), rtol=1e-5)
    np.testing.assert_allclose(value(bias), [2.1, 2.1], rtol=1e-5)  # rank 1: no decay


def test_multipliers_scale_step_and_decay_first_match_counts():
    kernel, bias = variables()
    optimizer = AdamW(0.1, decay=0.5, multipliers={"kern": 0.1, "kernel|bias": 0.0})
    optimizer.apply([np.full((2, 2), 3.0, "float32"), np.full(2, -3.0, "float32")], [kernel, bias])
    np.testing.assert_allclose(value(kernel), np.full((2, 2), 2.0 - 0.01 * 0.5 * 2.0 - 0.01), rtol=1e-5)
    np.testing.assert_array_equal(value(bias), [2.0, 2.0])


def test_clip_is_of_the_global_norm():
    # Gradients 3 and 4 in two variables: norm 5, clipped to 1 they become 0.6 and 0.8; momentum holds a tenth of them.
    a, b = keras.Variable(np.zeros(1, "float32"), name="a"), keras.Variable(np.zeros(1, "float32"), name="b")
    optimizer = adamw(0.1, total_steps=10, clip_norm=1.0)
    optimizer.apply([ops.convert_to_tensor([3.0]), ops.convert_to_tensor([4.0])], [a, b])
    momenta = [float(value(v)[0]) for v in optimizer.variables if "momentum" in v.path]
    assert momenta == pytest.approx([0.06, 0.08], rel=1e-5)


@pytest.mark.parametrize(("average", "means"), [(0.99, [1.0, 1.9, 2.8, 3.7]), (0.1, [1.0, 1.9, 2.89, 3.889])])
def test_the_average_by_hand(average, means):
    # Adam without momenta and epsilon moves a weight by its rate: to 1, 2, 3, 4. Of the average, steps 0 to 3 leave
    # t / (t + 9) = 0, 1/10, 2/11, 1/4, or 0.1 where that is less: 0.1 x 1 + 0.9 x 2 = 1.9, 0.1 x 1.9 + 0.9 x 3 = 2.89.
    weight = keras.Variable(np.zeros(1, "float32"), name="weight")
    optimizer = AdamW(1.0, average=average, beta_1=0.0, beta_2=0.0, epsilon=0.0)
    for mean in means:
        optimizer.apply([ops.convert_to_tensor([-1.0])], [weight])
        assert float(value(optimizer.averages[0])[0]) == pytest.approx(mean, rel=1e-5)
    assert float(value(weight)[0]) == pytest.approx(4.0)


def test_a_variable_that_stands_is_its_own_average():
    kernel, bias = variables()
    optimizer = AdamW(0.1, average=0.99, multipliers={"kernel": 0.0})
    optimizer.apply([np.full((2, 2), 3.0, "float32"), np.full(2, -3.0, "float32")], [kernel, bias])
    np.testing.assert_array_equal(value(optimizer.averages[0]), value(kernel))
    assert AdamW(0.1).averages == []


def test_round_trip_of_the_configuration():
    optimizer = adamw(
        0.01, total_steps=10, warmup=0.2, weight_decay=0.1, clip_norm=5.0, multipliers={"stem": 0.1}, average=0.9
    )
    copy = AdamW.from_config(optimizer.get_config())
    assert (copy.decay, copy.multipliers, copy.average, copy.global_clipnorm) == (0.1, {"stem": 0.1}, 0.9, 5.0)
    assert float(value(copy.learning_rate)) == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total_steps": 0}, "total_steps must be at least 1"),
        ({"total_steps": 5, "warmup": 1.0}, "warmup is a share"),
        ({"total_steps": 5, "schedule": "linear"}, "cosine"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        adamw(0.1, **arguments)
