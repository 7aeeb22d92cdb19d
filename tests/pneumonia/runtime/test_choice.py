"""Exported models answer where they stand for the trained ones; else it is said why not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.pneumonia.runtime.tiny import OPTIONS, write_bundles

from pneumonia.runtime import bundle, choice
from pneumonia.runtime.choice import Choice, choose
from pneumonia.schema.models import MODELS

PREDICT = OPTIONS | {"flip": True, "batch_size": 2}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Trained models, and their bundles."""
    for name in MODELS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
    write_bundles(tmp_path / "exported", trained=bundle.hashes(tmp_path / "yolo"))
    return tmp_path


def test_exported_models_that_stand_for_the_trained_ones_answer(models: Path):
    assert choose(models, "auto", PREDICT, MODELS) == Choice("onnx", models / "exported")
    assert choose(models, "onnx", PREDICT, MODELS).words == "ONNX Runtime"
    assert choose(models, "keras", PREDICT, MODELS) == Choice("keras", models)


def test_without_an_export_keras_answers(models: Path, caplog: pytest.LogCaptureFixture):
    (models / "exported").rename(models / "elsewhere")
    assert choose(models, "auto", PREDICT, MODELS) == Choice("keras", models)
    assert caplog.text == ""  # nothing that somebody could have meant
    with pytest.raises(ValueError, match=r"no exported model at .*exported/classifier; run `pneumonia export`"):
        choose(models, "onnx", PREDICT, MODELS)


def trained_anew(models: Path) -> None:
    (models / "maskrcnn/model.json").write_text("{ }")


def damaged(models: Path) -> None:
    (models / "exported/yolo/model.onnx").write_bytes(b"")


def incomplete(models: Path) -> None:
    (models / "exported/yolo").rename(models / "exported/other")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (trained_anew, r"exported/maskrcnn was exported from another model than .*/maskrcnn: export it again"),
        (damaged, r"exported/yolo: model\.onnx is not what was exported"),
        (incomplete, r"no exported model at .*exported/yolo"),
    ],
)
def test_what_does_not_fit_is_not_used_and_said(
    spoil: object, reason: str, models: Path, caplog: pytest.LogCaptureFixture
):
    spoil(models)
    with caplog.at_level(logging.WARNING):
        assert choose(models, "auto", PREDICT, MODELS) == Choice("keras", models)
    (said,) = caplog.messages
    assert said.startswith("the exported models are not used: ")
    with pytest.raises(ValueError, match=reason):
        choose(models, "onnx", PREDICT, MODELS)


def test_other_params_need_another_export(models: Path):
    with pytest.raises(
        ValueError, match=r"exported/maskrcnn was exported with .*0\.3.*, params\.yaml has .*0\.5.*: export it again"
    ):
        choose(models, "onnx", PREDICT | {"nms_iou": 0.5}, MODELS)
    assert choose(models, "onnx", PREDICT | {"flip": False}, MODELS).runtime == "onnx"  # ours, not the graph's


def test_a_folder_of_bundles_alone(models: Path):
    folder = models / "exported"
    assert choose(folder, "auto", PREDICT, MODELS) == Choice("onnx", folder)
    with pytest.raises(ValueError, match=r"exported holds exported models, which Keras does not run"):
        choose(folder, "keras", PREDICT, MODELS)
    damaged(models)
    with pytest.raises(ValueError, match=r"not what was exported"):
        choose(folder, "auto", PREDICT, MODELS)  # there is nothing else


def test_the_runtime_must_be_installed(models: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    assert choose(models, "auto", PREDICT, MODELS).runtime == "keras"
    with pytest.raises(ValueError, match=r"onnxruntime is not installed: pip install -e '\.\[onnx\]'"):
        choose(models, "onnx", PREDICT, MODELS)


def test_an_unknown_runtime_is_refused(models: Path):
    with pytest.raises(ValueError, match="runtime must be one of auto, onnx, keras, got 'tpu'"):
        choose(models, "tpu", PREDICT, MODELS)
