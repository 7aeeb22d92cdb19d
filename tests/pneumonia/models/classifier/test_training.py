"""The classifier learns to see bright squares, and its files are those of its weights alone."""

import hashlib
import time

import numpy as np
import pytest
from tests.pneumonia.models.classifier.squares import STUDIES, Store, fit

from pneumonia.metrics.image_level import auc
from pneumonia.models.classifier import training
from pneumonia.models.classifier.network import build
from pneumonia.models.classifier.trained import load


def test_it_learns_and_reports(trained):
    folder, result, seen = trained
    assert [logs["epoch"] for logs in result.history] == seen == [1, 2, 3, 4]
    assert {"loss", "val_loss", "val_auc", "learning_rate"} <= set(result.history[0])
    assert result.metrics["auc"] == max(logs["val_auc"] for logs in result.history) > 0.9
    assert (result.metrics["train_studies"], result.metrics["validation_studies"]) == (48, 24)
    assert sorted(path.name for path in (folder / "model").iterdir()) == ["model.json", "model.weights.h5"]
    # The weights at 4 bytes each and the layout of HDF5, but no optimizer.
    assert (folder / "model" / "model.weights.h5").stat().st_size < 1.5 * 4 * result.metrics["parameters"]
    assert list((folder / "state").iterdir()) == []


def test_files_carry_no_time(tmp_path):
    model = build("resnet_small", 32)

    def written(name):
        (tmp_path / name).mkdir()
        training._write(tmp_path / name, model, training.Architecture("resnet_small", "none", 0.0, 0))
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((tmp_path / name).iterdir())]

    first = written("a")
    time.sleep(1.1)  # a time stamp would be of another second
    assert written("b") == first


def test_categories_are_learnt_beside_the_score_and_not_kept(tmp_path):
    objective = training.Objective(classes_weight=0.5, label_smoothing=0.1)
    result = fit(tmp_path / "model", objective=objective, average=0.9)
    first = result.history[0]
    assert first["loss"] == pytest.approx(first["score_loss"] + 0.5 * first["classes_loss"], rel=1e-5)
    # The file is one of the network without them: it loads, it has as many weights, and it is as good as what was chosen.
    plain = build("resnet_small", 32)
    assert result.metrics["parameters"] == plain.count_params()
    validation = STUDIES[STUDIES["subset"] == "validation"]
    scores, _ = load(tmp_path / "model").predict(Store(STUDIES).batch(validation["study"]))
    assert auc(scores.astype(float), validation["target"].to_numpy()) == pytest.approx(result.metrics["auc"])
    assert result.metrics["auc"] > 0.9


def test_rows_of_categories():
    # normal, not_normal, opacity; the first three studies are an opacity, a normal and a not_normal one
    rows = training._one_hot(STUDIES[:3])
    np.testing.assert_array_equal(np.stack([rows[study] for study in ("s00", "s01", "s02")]), np.eye(3)[[2, 0, 1]])
