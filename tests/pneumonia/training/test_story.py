"""The story of a training, with a model of one weight."""

from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest

from keraskit.training.fit import Phase
from pneumonia.training import story
from pneumonia.training.augmentation import Augmentation
from pneumonia.training.groups import Epochs, Sampling

STUDIES = pd.DataFrame(
    {
        "study": ["d", "c", "b", "a", "v", "w", "h"],
        "subset": ["train"] * 4 + ["validation"] * 2 + ["holdout"],
        "target": [1, 0, 0, 0, 1, 0, 1],
    }
)
BOXES = pd.DataFrame({"study": ["d", "v"], "x": [1.0, 2], "y": [1.0, 2], "width": [2.0, 4], "height": [2.0, 4]})
DARKER = Augmentation(flip=0, rotation=0, translation=0, scale=0, brightness=0.5, contrast=0)


class Store:
    size = 8

    def batch(self, studies):
        return np.stack([np.full((8, 8), 100, np.uint8) for _ in studies])

    def to_resized(self, study, boxes):
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@pytest.fixture
def data():
    return story.TrainingData(Store(), STUDIES, BOXES, Sampling(2, 1.0, seed=1), DARKER)


def test_subsets_are_sorted_and_holdout_is_not_looked_at(data):
    assert list(data.train["study"]) == ["a", "b", "c", "d"]
    assert list(data.validation["study"]) == ["v", "w"]
    assert {study: boxes.tolist() for study, boxes in data.train_boxes.items()} == {
        "a": [], "b": [], "c": [], "d": [[1, 1, 3, 3]]
    }  # fmt: skip
    assert {study: boxes.tolist() for study, boxes in data.validation_boxes.items()} == {"v": [[2, 2, 6, 6]], "w": []}


def test_an_epoch_is_a_positive_and_as_many_negatives(data):
    shown = [sorted(data.batches(epoch)[0]) for epoch in (1, 2, 3)]
    assert data.steps == 1
    assert all(studies[1] == "d" for studies in shown)
    assert sorted(studies[0] for studies in shown) == ["a", "b", "c"]  # each negative once before one comes again


def test_batches_know_their_place_and_validation_is_not_augmented(data):
    seen = []

    def batch(names, images, boxes, place):
        seen.append((sorted(names), int(images[0, 0, 0]), place))
        return np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32)

    data.epoch(2, batch)[0]
    (names, grey, place) = seen.pop()
    assert names[1] == "d"
    assert grey != 100
    assert place == (1, 2, 0)
    model = one_weight()
    model.compile(loss="mse")
    assert data.loss(model, batch) == 0.0
    assert {(grey, place) for _, grey, place in seen} == {(100, (1, 0, 0))}


def one_weight():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))


def test_the_best_epoch_is_written_and_reported(data, tmp_path):
    """Target 1 at input 1: the weight grows from 0, and the measure, their distance from 0.3, is best in between."""
    model = one_weight()

    def validate():
        return {"val_far": abs(float(model.get_weights()[0][0, 0]) - 0.3)}

    def prepare(rate):
        model.compile(keras.optimizers.SGD(rate), loss="mse")

    told = []
    task = story.Task(
        model,
        lambda names, images, boxes, place: (np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)),
        [Phase(3, partial(prepare, 0.1), 0, "test")],  # the weight: 0.2, 0.36, 0.488
        story.Validation(validate, "val_far", "min"),
        lambda folder, history: (folder / "weight").write_text(f"{model.get_weights()[0][0, 0]:.2f} {len(history)}"),
        lambda best: {"far": best["val_far"]},
    )
    state = tmp_path / "state" / "x.npz"
    metrics, history = story.run(task, data, tmp_path / "out", state, lambda epoch, row: told.append(epoch))
    assert (tmp_path / "out" / "weight").read_text() == "0.36 3"
    assert metrics == {
        "loss": pytest.approx(0.64),  # before its step: (1 - 0.2)^2
        "best_epoch": 2,
        "epochs": 3,
        "train_studies": 4,
        "far": pytest.approx(0.06, abs=1e-6),
    }
    assert [row["epoch"] for row in history] == told == [1, 2, 3]
    assert list(state.parent.iterdir()) == []


def test_heads_come_first_and_never_longer_than_the_whole():
    calls = []
    phases = story.heads_first(Epochs(5, heads_epochs=2), 10, 4, lambda *given: calls.append(given), "net")
    for phase in phases:
        phase.prepare()
    assert calls == [(20, True), (30, False)]
    assert [(phase.epochs, phase.patience, phase.title) for phase in phases] == [(2, 0, "net, heads"), (3, 4, "net")]
    assert [phase.epochs for phase in story.heads_first(Epochs(2, 9), 10, 4, lambda *_: None, "net")] == [2, 0]
