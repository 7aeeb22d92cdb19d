"""`fit` on a model of a few weights: resume, early stopping, no second compilation."""

import keras
import numpy as np
import pytest

from keraskit.training.fit import best_epoch, fit
from keraskit.training.optimizers import adamw


class Batches(keras.utils.PyDataset):
    def __init__(self, epoch, fail_at=None, error=KeyboardInterrupt):
        super().__init__(workers=1)
        self.epoch, self.fail_at, self.error = epoch, fail_at, error

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rng = np.random.default_rng((7, self.epoch, index))
        x = rng.normal(size=(4, 5)).astype("float32")
        return x, x.sum(axis=1, keepdims=True)


def make(seed=3, average=0.0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5,))
    x = keras.layers.Dense(6, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5, seed=seed)(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(
        adamw(0.05, total_steps=12, warmup=0.1, weight_decay=0.01, clip_norm=5.0, average=average), loss="mse"
    )
    return model


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_resumed_ends_with_the_same_bytes(tmp_path, average):
    whole = make(average=average)
    history = fit(whole, Batches, epochs=4)
    assert [logs["epoch"] for logs in history] == [1, 2, 3, 4]

    state = tmp_path / "state.npz"

    def stop_after_two(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"interrupted after 2 of 4 epochs; run the same command again"):
        fit(make(average=average), Batches, epochs=4, state=state, on_epoch=stop_after_two)
    resumed = make(seed=99, average=average)  # its own start must not matter
    seen = []
    again = fit(resumed, Batches, epochs=4, state=state, on_epoch=lambda epoch, logs: seen.append(epoch))
    assert again == history
    assert seen == [1, 2, 3, 4]
    assert same(whole, resumed)
    # A training that is done is not trained again.
    finished = make(seed=5, average=average)
    assert fit(finished, None, epochs=4, state=state) == history
    assert same(whole, finished)


def test_nothing_is_compiled_twice():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("counts traces of a TensorFlow function")
    traces = []

    class Counting(keras.Model):
        def train_step(self, data):
            traces.append(1)
            return super().train_step(data)

    inputs = keras.Input((5,))
    model = Counting(inputs, keras.layers.Dense(1)(inputs))
    model.compile(adamw(0.05, total_steps=9), loss="mse", jit_compile=False)
    fit(model, Batches, epochs=1)
    first = len(traces)
    fit(model, Batches, epochs=3)
    assert len(traces) == first


def scripted(values):
    values = iter(values)
    return lambda: {"val_auc": next(values)}


def test_early_stop_keeps_the_best_weights():
    model = make()
    kept = {}
    history = fit(
        model,
        Batches,
        epochs=9,
        validate=scripted([0.5, 0.8, 0.7, 0.8, 0.9]),
        monitor="val_auc",
        mode="max",
        patience=2,
        on_epoch=lambda epoch, logs: kept.update({epoch: model.get_weights()}),
    )
    assert len(history) == 4  # two epochs without better than 0.8; an equal value is not better
    assert best_epoch(history, "val_auc", "max")["epoch"] == 2
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), kept[2], strict=True))


def test_the_average_is_validated_and_kept_and_the_weights_learn_on():
    plain, model = make(), make(average=0.9)
    kept, seen = {}, []

    def validate():
        seen.append([np.array(v) for v in model.trainable_variables])
        return {"val_auc": [0.5, 0.8, 0.7][len(seen) - 1]}

    def note(epoch, logs):
        kept[epoch] = [np.array(v) for v in model.trainable_variables]

    options = {"epochs": 3, "monitor": "val_auc", "mode": "max"}
    fit(model, Batches, validate=validate, on_epoch=note, **options)
    learned = {}
    fit(
        plain,
        Batches,
        validate=scripted([0.5, 0.8, 0.7]),
        on_epoch=lambda epoch, logs: learned.update({epoch: [np.array(v) for v in plain.trainable_variables]}),
        **options,
    )
    for epoch in (1, 2, 3):
        for ours, theirs, mean in zip(kept[epoch], learned[epoch], seen[epoch - 1], strict=True):
            np.testing.assert_array_equal(ours, theirs)  # the same training
            assert not np.array_equal(ours, mean)
    for weight, mean in zip(model.trainable_variables, seen[1], strict=True):
        np.testing.assert_array_equal(np.array(weight), mean)  # of the best epoch, the second


def test_no_epoch_beats_the_baseline():
    model = make()
    before = model.get_weights()
    options = {"monitor": "val_auc", "mode": "max", "patience": 2, "baseline": 0.9}
    history = fit(model, Batches, epochs=5, validate=scripted([0.5, float("nan"), 0.6]), **options)
    assert len(history) == 2
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_state_of_another_model(tmp_path):
    fit(make(), Batches, epochs=1, state=tmp_path / "state.npz")
    inputs = keras.Input((5,))
    other = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    other.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="state of another model"):
        fit(other, Batches, epochs=2, state=tmp_path / "state.npz")


def test_errors_name_what_is_wrong():
    model = make()
    with pytest.raises(ValueError, match=r"'val_map' is not among the values of an epoch: \['epoch', 'learning_rate'"):
        fit(model, Batches, epochs=1, monitor="val_map")
    with pytest.raises(ValueError, match="mode"):
        fit(model, Batches, epochs=1, mode="best")
    model.layers[-1].set_weights([np.full((6, 1), np.nan), np.zeros(1)])
    with pytest.raises(FloatingPointError, match="loss is nan in epoch 1"):
        fit(model, Batches, epochs=1)
