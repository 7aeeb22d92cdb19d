"""The picture of a training's history."""

import pandas as pd

from pneumonia.training.curves import training_curves


def test_training_curves_have_the_same_bytes_twice_and_no_software_name():
    history = pd.DataFrame({"epoch": [0, 1], "loss": [1, 0.5], "val_loss": [1.1, 0.7], "val_auc": [0.5, 0.6]})
    data = training_curves(history, "history")
    assert data.startswith(b"\x89PNG")
    assert b"matplotlib" not in data.lower()
    assert data == training_curves(history, "history")
