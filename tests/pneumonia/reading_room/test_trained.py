"""A missing model is named before anything is loaded."""

from pathlib import Path
from typing import Any

import pytest

from pneumonia.reading_room.trained import key, require


def test_the_first_model_that_is_missing_is_named(tmp_path: Path):
    names = ("classifier", "maskrcnn", "yolo")
    for name in names:
        with pytest.raises(ValueError, match=rf"no trained model at .*{name}; run `dvc repro`"):
            require(tmp_path, names)
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
    require(tmp_path, names)


def test_a_key_is_another_where_anything_is_that_an_answer_depends_on(tmp_path: Path):
    params: dict[str, Any] = {
        "window": {"mode": "none"},
        "predict": {},
        "ensemble": {},
        "max_boxes": 4,
        "threshold": 0.25,
    }
    params |= {"names": ["yolo"], "runtime": "Keras"}
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "weights").write_bytes(b"first")
    known = key(tmp_path, **params)
    assert key(tmp_path, **params) == known
    others = {key(tmp_path, **{**params, name: value}) for name, value in (
        ("window", {"mode": "dicom"}), ("predict", {"flip": True}), ("ensemble", {"weights": 1}), ("max_boxes", 3),
        ("threshold", 0.5), ("runtime", "ONNX Runtime"),
    )}  # fmt: skip
    (tmp_path / "yolo" / "weights").write_bytes(b"other")
    assert len({known, key(tmp_path, **params), *others}) == 8
