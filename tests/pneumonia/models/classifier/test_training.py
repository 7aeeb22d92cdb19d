"""The classifier learns to see bright squares, and its files are those of its weights alone."""

import hashlib
import time

from pneumonia.models.classifier import training
from pneumonia.models.classifier.network import build


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
