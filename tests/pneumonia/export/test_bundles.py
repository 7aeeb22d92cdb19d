"""A trained model becomes a bundle that says the same, or nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pneumonia import files
from pneumonia.export import bundles, formats, parity
from pneumonia.export.bundles import Terms, held_back
from pneumonia.models.classifier import network
from pneumonia.prediction import inference
from pneumonia.runtime import models
from pneumonia.schema.data import SPLIT

for needed in ("onnx", "onnxruntime", "tf2onnx"):
    pytest.importorskip(needed)
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("exported with TensorFlow", allow_module_level=True)

SIZE = 64
PREDICT = {"score_floor": 0.001, "nms_iou": 0.3, "max_detections": 5, "flip": True, "batch_size": 4}
OPTIONS = {key: PREDICT[key] for key in ("score_floor", "nms_iou", "max_detections")}
TERMS = Terms(operating_point=0.25, licence="MIT")


def squares(size: int) -> np.ndarray:
    """Noise of several strengths about grey, so that no two images look alike to a network."""
    rng = np.random.default_rng(3)
    return np.stack([rng.normal(128, 4 * 2**k, (size, size)).clip(0, 255) for k in range(6)]).astype(np.uint8)


def classifier(folder: Path, hidden: int, bias: float = 0.0) -> None:
    keras.utils.set_random_seed(1)
    model = network.build("resnet_small", SIZE, hidden=hidden)
    score = model.get_layer(network.SCORE)
    score.set_weights([score.get_weights()[0], np.full(1, bias, np.float32)])
    folder.mkdir(parents=True)
    model.save_weights(folder / "model.weights.h5")
    described = {"kind": "classifier", "backbone": "resnet_small", "image_size": SIZE, "hidden": hidden}
    files.write_json(folder / "model.json", described)


def yolo(folder: Path) -> None:
    from yolov3 import cfg, weights
    from yolov3.architectures import describe
    from yolov3.network import build

    wanted = describe("yolov3-tiny", SIZE, 1)
    keras.utils.set_random_seed(1)
    folder.mkdir(parents=True)
    (folder / "model.cfg").write_text(cfg.to_text(wanted))
    weights.save(build(wanted), folder / "model.weights")
    files.write_json(folder / "model.json", {"cfg": "model.cfg", "weights": "model.weights", "image_size": SIZE})


def efficientdet(folder: Path) -> None:
    from pneumonia.models.efficientdet.network import build, describe

    described = describe(SIZE, "d0", "resnet_small", False, "group", 3.0, (1.0,))
    keras.utils.set_random_seed(1)
    folder.mkdir(parents=True)
    build(described).network.save_weights(folder / "model.weights.h5")
    files.write_json(folder / "model.json", described)


def maskrcnn(folder: Path) -> None:
    from mrcnn import weights
    from mrcnn.network import Network
    from pneumonia.models.maskrcnn import network as maskrcnn_network

    described = maskrcnn_network.describe(SIZE, "resnet_small", "none", False, (12.0, 24.0), (0.5, 1.0))
    config = maskrcnn_network.configure(described)
    maskrcnn_network.add_backbone(config, described, "none")
    keras.utils.set_random_seed(1)
    folder.mkdir(parents=True)
    weights.save(Network(config).scoring_model(), folder / "mask_rcnn.h5")
    files.write_json(folder / "model.json", described)


def exported(trained: Path, out: Path, name: str, form: str = "onnx", **more: Any) -> bundles.Bundle:
    out.mkdir()
    return bundles.export([name], trained, out, form=form, squares=squares, predict=PREDICT, terms=TERMS, **more)[name]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    classifier(folder / "classifier", hidden=0)
    yolo(folder / "yolo")
    return folder


@pytest.mark.slow
def test_a_detector(trained: Path, tmp_path: Path):
    made = exported(trained, tmp_path / "out", "yolo")
    written = json.loads((tmp_path / "out/yolo/model.json").read_text())
    assert written["predict"] == {"score_floor": 0.001, "nms_iou": 0.3, "max_detections": 5}
    assert written["parity"] == dict(made.parity)
    assert made.parity["studies"] == 6
    assert (written["operating_point"], written["licence"]) == (0.25, "MIT")
    assert set(written["trained"]) == {"model.cfg", "model.json", "model.weights"}
    assert {"keras", "onnx", "pneumonia", "tensorflow", "tf2onnx"} == set(written["versions"])
    own, other = inference.load("yolo", trained / "yolo"), models.load(tmp_path / "out/yolo")
    one, two = (model.detect(squares(SIZE), **OPTIONS) for model in (own, other))
    assert sum(len(rows) for rows in one) > 6  # there is something to compare
    for left, right in zip(one, two, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)
    again = models.load(tmp_path / "out/yolo", threads=1).detect(squares(SIZE)[3:], **OPTIONS)
    assert [rows.tobytes() for rows in again] == [rows.tobytes() for rows in two[3:]]  # whatever neighbours and threads


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [0, 8])
def test_a_classifier_and_its_map(hidden: int, tmp_path: Path):
    """With a layer before the score the map is Grad-CAM's, of which the graph has the derivative written out."""
    classifier(tmp_path / "classifier", hidden)
    exported(tmp_path, tmp_path / "out", "classifier")
    own, other = inference.load("classifier", tmp_path / "classifier"), models.load(tmp_path / "out/classifier")
    (score, cam), (scored, mapped) = (model.predict(squares(SIZE)) for model in (own, other))
    np.testing.assert_allclose(scored, score, atol=1e-5)
    np.testing.assert_allclose(mapped, cam, atol=1e-4 * cam.max())
    assert np.ptp(cam) > 0


@pytest.mark.slow
def test_low_scores_of_a_classifier_are_as_exact_as_others(tmp_path: Path):
    """The ensemble's gate takes a root of them: 3e-8 for 9e-8 is a box of 0.013 for 0.017."""
    classifier(tmp_path / "classifier", 0, bias=-16.0)
    exported(tmp_path, tmp_path / "out", "classifier")
    own, other = inference.load("classifier", tmp_path / "classifier"), models.load(tmp_path / "out/classifier")
    (score, _), (scored, _) = (model.predict(squares(SIZE)) for model in (own, other))
    assert 0 < score.min() < 1e-6
    np.testing.assert_allclose(scored, score, rtol=1e-4)


@pytest.mark.slow
def test_mask_rcnn(tmp_path: Path):
    maskrcnn(tmp_path / "maskrcnn")
    made = exported(tmp_path, tmp_path / "out", "maskrcnn")
    assert set(made.parity) == {"studies", "scores", "boxes", "alone"}
    found = models.load(tmp_path / "out/maskrcnn").detect(squares(SIZE), **OPTIONS)
    assert sum(len(rows) for rows in found) > 6


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "savedmodel", "litert", "openvino"])
def test_efficientdet(form: str, tmp_path: Path):
    pytest.importorskip({"openvino": "openvino", "litert": "ai_edge_litert"}.get(form, "tensorflow"))
    efficientdet(tmp_path / "efficientdet")
    made = exported(tmp_path, tmp_path / "out", "efficientdet", form)
    assert set(made.parity) == {"studies", "scores", "boxes", "alone"}
    found = models.load(tmp_path / "out/efficientdet").detect(squares(SIZE), **OPTIONS)
    assert sum(len(rows) for rows in found) > 6


@pytest.mark.slow
@pytest.mark.parametrize("form", ["savedmodel", "litert", "openvino"])
@pytest.mark.parametrize("name", ["classifier", "yolo"])
def test_other_formats(form: str, name: str, trained: Path, tmp_path: Path):
    """LiteRT with its own operations alone: its interpreter here knows none of TensorFlow's."""
    pytest.importorskip({"openvino": "openvino", "litert": "ai_edge_litert"}.get(form, "tensorflow"))
    assert exported(trained, tmp_path / "out", name, form).format == form


def test_a_model_that_says_something_else_is_refused(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = tmp_path / "other"
    classifier(other / "classifier", hidden=0)
    keras.utils.set_random_seed(2)
    network.build("resnet_small", SIZE).save_weights(other / "classifier/model.weights.h5")
    wrong = inference.load("classifier", other / "classifier").graph()
    monkeypatch.setattr(formats, "write", lambda graph, form, folder, write=formats.write: write(wrong, form, folder))
    with pytest.raises(ValueError, match=r"classifier: the exported model does not say what the trained one says: "):
        exported(trained, tmp_path / "out", "classifier")


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="models are exported with KERAS_BACKEND=tensorflow, got jax"):
        formats.check("onnx")


def test_the_backend_is_chosen_before_keras_is_imported():
    code = (
        "from pneumonia.export import bundles, formats; formats.prepare(); import keras; print(keras.backend.backend())"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "tensorflow"


def test_held_back_studies_are_the_first_of_the_hold_out_or_of_validation(tmp_path: Path):
    rows = [
        ("c", "holdout"),
        ("a", "train"),
        ("b", "holdout"),
        ("d", "holdout"),
        ("0", "validation"),
        ("e", "validation"),
    ]
    table = pd.DataFrame(rows, columns=["study", "subset"]).assign(person="p", fold=0)
    SPLIT.write(tmp_path / "split.csv", table)
    folder = tmp_path / "images/32"
    folder.mkdir(parents=True)
    asked: list[list[str]] = []

    class Store:
        def __init__(self, path: Path) -> None:
            assert path == folder

        def batch(self, studies: list[str]) -> None:
            asked.append(studies)

    bundles_store, bundles.ShardStore = bundles.ShardStore, Store
    try:
        held_back(tmp_path / "images", tmp_path / "split.csv", 2)(32)
        SPLIT.write(tmp_path / "split.csv", table[table["subset"] != "holdout"])  # split.holdout: 0
        held_back(tmp_path / "images", tmp_path / "split.csv", 2)(32)
    finally:
        bundles.ShardStore = bundles_store
    assert asked == [["b", "c"], ["0", "e"]]
    SPLIT.write(tmp_path / "split.csv", table.assign(subset="train"))
    with pytest.raises(ValueError, match="has no hold-out or validation study"):
        held_back(tmp_path / "images", tmp_path / "split.csv")
    with pytest.raises(ValueError, match=r"none\.csv not found; run `dvc repro"):
        held_back(tmp_path, tmp_path / "none.csv")


def test_what_can_be_said_of_a_licence():
    assert bundles.licence("synthetic") == "MIT"
    assert bundles.licence("kaggle").startswith("not stated")
    assert parity.SCORE == 1e-4  # what the README promises
    assert parity.BOX == 0.1
