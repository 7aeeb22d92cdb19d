"""What stands around a training in the pipeline, with a training that only looks at what it was given."""

import json

import numpy as np
import pandas as pd
import pytest

from pneumonia.training import inputs, stage
from pneumonia.training.story import Trained

AUGMENTATION = {"flip": 0.5, "rotation": 0, "translation": 0, "scale": 0, "brightness": 0, "contrast": 0, "cutout": 0}
VALUES = {
    "weights": "none",
    "image_size": 64,
    "batch_size": 2,
    "negatives_per_positive": 1.0,
    "seed": 1,
    "device": "cpu",
    "devices": 1,
    "precision": "float32",
    "augmentation": AUGMENTATION,
}
TRACK = {"enabled": False, "uri": "sqlite:///mlflow.db", "experiment": "test"}


def test_a_training_gets_its_data_and_its_numbers_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studies = pd.DataFrame({"study": ["a", "b"], "subset": ["train", "validation"], "target": [1, 0]})
    read = []

    def reading(image_size, *, boxes):
        read.append((image_size, boxes))
        return inputs.Inputs(None, studies, None, [])

    monkeypatch.setattr(inputs, "read", reading)
    given = []

    def train(data, out, state, *, on_epoch):
        given.append((data, out, state))
        out.mkdir(parents=True)
        on_epoch(1, {"epoch": 1, "loss": 0.25})
        return Trained({"loss": 0.25}, [{"epoch": 1, "loss": 0.25, "learning_rate": np.float32(0.001)}])

    stage.run("tiny", train, VALUES, TRACK, boxes=False)
    ((data, out, state),) = given
    assert read == [(64, False)]
    assert (list(data.train["study"]), data.sampling.batch_size, data.augmentation.flip) == (["a"], 2, 0.5)
    assert (out.as_posix(), state.parent.as_posix(), state.suffix) == ("models/tiny", "state/tiny", ".npz")
    assert json.loads((tmp_path / "metrics/tiny.json").read_text()) == {"loss": 0.25}
    history = (tmp_path / "plots/history/tiny.csv").read_text()
    assert history == "epoch,loss,learning_rate\n1,0.250000,0.00100000\n"


def test_a_value_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "read", lambda image_size, *, boxes: None)
    values = {key: value for key, value in VALUES.items() if key != "batch_size"}
    with pytest.raises(KeyError, match="batch_size"):
        stage.run("tiny", None, values, TRACK, boxes=False)
