"""The classifier on a task that takes a few steps: a bright square is an opacity."""

import hashlib
import time

import numpy as np
import pandas as pd
import pytest

from pneumonia.models.classifier import network, training
from pneumonia.models.classifier import trained as trained_model

SIZE = 32
AUGMENTATION = {"flip": 0.5, "rotation": 0, "translation": 0.05, "scale": 0, "brightness": 0, "contrast": 0.1}
OPTIONS = {
    "backbone": "resnet_small",
    "weights": "none",
    "epochs": 4,
    "heads_epochs": 1,
    "batch_size": 8,
    "learning_rate": 0.003,
    "backbone_rate": 1.0,
    "warmup": 0.1,
    "weight_decay": 0.0001,
    "clip_norm": 5.0,
    "dropout": 0.1,
    "hidden": 0,
    "negatives_per_positive": 1.0,
    "patience": 3,
    "seed": 1,
    "augmentation": AUGMENTATION,
}


class Store:
    size = SIZE

    def __init__(self, studies):
        rng = np.random.default_rng(2)
        self.images = {}
        for study, target in zip(studies["study"], studies["target"], strict=True):
            image = rng.integers(40, 80, (SIZE, SIZE), dtype=np.uint8)
            if target:
                x, y = rng.integers(4, 16, 2)
                image[y : y + 12, x : x + 12] += 120
            self.images[study] = image

    def batch(self, studies):
        return np.stack([self.images[study] for study in studies])


@pytest.fixture(scope="module")
def studies():
    subsets = ["train"] * 48 + ["validation"] * 24 + ["holdout"] * 8
    return pd.DataFrame(
        {"study": [f"s{i:02d}" for i in range(80)], "subset": subsets, "target": [int(i % 3 == 0) for i in range(80)]}
    )


@pytest.fixture(scope="module")
def trained(studies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    seen = []
    result = training.train(
        Store(studies),
        studies,
        folder / "model",
        folder / "state" / "x.npz",
        **OPTIONS,
        on_epoch=lambda epoch, logs: seen.append(epoch),
    )
    return folder, result, seen


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


def test_loaded_predicts_what_was_validated(trained, studies):
    folder, result, _ = trained
    model = trained_model.load(folder / "model")
    part = studies[studies["subset"] == "validation"]
    scores, cam = model.predict(Store(studies).batch(part["study"]))
    assert scores.shape == (24,)
    assert cam.shape == (24, 1, 1)
    positive, negative = scores[part["target"] == 1], scores[part["target"] == 0]
    pairs = positive[:, None] - negative[None]
    assert np.mean(pairs > 0) + np.mean(pairs == 0) / 2 == pytest.approx(result.metrics["auc"], abs=1e-6)


def test_map_is_exact_for_any_size():
    import keras

    keras.utils.set_random_seed(5)
    model = network.build("resnet_small", 96)
    kernel = np.random.default_rng(0).normal(0, 0.05, size=(160, 1))
    model.get_layer("score").set_weights([kernel, np.array([0.3])])
    images = np.random.default_rng(1).integers(0, 256, (2, 96, 96), dtype=np.uint8)
    scores, cam = trained_model.Classifier(model).predict(images)
    direct = keras.ops.convert_to_numpy(model(images[..., None].astype("float32")))[:, 0]
    assert cam.shape == (2, 3, 3)
    np.testing.assert_allclose(scores, direct, rtol=1e-4)
    np.testing.assert_allclose(np.log(direct / (1 - direct)), cam.mean((1, 2)), rtol=1e-3, atol=1e-3)


def test_a_hidden_layer_is_explained_by_gradients(studies, tmp_path):
    options = OPTIONS | {"hidden": 6, "epochs": 3}
    training.train(Store(studies), studies, tmp_path / "model", None, **options)
    model = trained_model.load(tmp_path / "model")
    images = Store(studies).batch(studies["study"][:12])
    scores, cam = model.predict(images)
    import keras

    whole = network.build("resnet_small", SIZE, hidden=6)
    whole.load_weights(tmp_path / "model" / "model.weights.h5")
    direct = keras.ops.convert_to_numpy(whole(images[..., None].astype("float32")))[:, 0]
    np.testing.assert_allclose(scores, direct, rtol=1e-4)
    # One cell: the map is ReLU of features x gradient, worked out here with the weights of both layers.
    features = keras.ops.convert_to_numpy(
        keras.Model(whole.input, whole.get_layer("pool").output)(images[..., None].astype("float32"))
    )
    first, bias = whole.get_layer("hidden").get_weights()
    last, _ = whole.get_layer("score").get_weights()
    slope = ((features @ first + bias > 0) * last[:, 0]) @ first.T
    np.testing.assert_allclose(cam[:, 0, 0], np.maximum((features * slope).sum(1), 0), rtol=1e-3, atol=1e-5)
    assert cam.max() > 0


def test_wrong_size_and_no_images(trained):
    model = trained_model.load(trained[0] / "model")
    with pytest.raises(ValueError, match=r"must be \[B, 32, 32\], got \[1, 64, 64\]"):
        model.predict(np.zeros((1, 64, 64), np.uint8))
    scores, cam = model.predict(np.zeros((0, 32, 32), np.uint8))
    assert scores.shape == (0,)
    assert cam.shape == (0, 1, 1)


def test_files_carry_no_time(tmp_path):
    model = network.build("resnet_small", 32)

    def written(name):
        training._write(tmp_path / name, model, backbone="resnet_small", image_size=32)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((tmp_path / name).iterdir())]

    first = written("a")
    time.sleep(1.1)  # a time stamp would be of another second
    assert written("b") == first
