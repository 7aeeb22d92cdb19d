"""A bundle is what was exported, or it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.pneumonia.runtime.tiny import write_bundle, write_bundles

from pneumonia.runtime import bundle
from pneumonia.schema.models import MODELS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "yolo", "yolo")
    return tmp_path / "yolo"


def test_what_is_written_is_read(folder: Path):
    read = bundle.read(folder)
    assert (read.kind, read.format, read.image_size, read.operating_point) == ("yolo", "onnx", 32, 0.5)
    assert read.predict == {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 2}
    assert list(read.files) == ["model.onnx"]


def test_a_trained_model_is_no_bundle(tmp_path: Path):
    (tmp_path / "model.json").write_text('{"image_size": 32}')
    assert not bundle.holds_bundle(tmp_path)
    with pytest.raises(ValueError, match=r"there is no exported model at .*; run `pneumonia export` first"):
        bundle.read(tmp_path)
    assert list(bundle.hashes(tmp_path)) == ["model.json"]  # which belongs to the model


@pytest.mark.parametrize("name", ["model.onnx", "more.bin"])
def test_another_byte_and_another_file_are_named(folder: Path, name: str):
    with (folder / name).open("ab") as stream:
        stream.write(b"0")
    with pytest.raises(ValueError, match=rf"{name} is not what was exported; export the model again"):
        bundle.read(folder)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("form", 2, "has form 2, wanted 1"),
        ("format", "coreml", "has format 'coreml', wanted one of onnx, openvino, litert, savedmodel"),
        ("more", 1, "is no description of a bundle: .*'more'"),
    ],
)
def test_a_description_of_another_version_is_refused(folder: Path, key: str, value: object, error: str):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=error):
        bundle.read(folder)


def test_the_operating_point_is_one_that_all_name(tmp_path: Path):
    assert bundle.operating_point(tmp_path) is None
    write_bundles(tmp_path / "all")
    assert bundle.operating_point(tmp_path / "all") == 0.5
    write_bundles(tmp_path / "none", operating_point=None)
    assert bundle.operating_point(tmp_path / "none") is None
    write_bundle(tmp_path / "two/yolo", "yolo")
    write_bundle(tmp_path / "two/maskrcnn", "maskrcnn", operating_point=0.25)
    assert bundle.operating_point(tmp_path / "two") is None


def test_the_ensembles_calibration_is_what_all_bundles_name(tmp_path: Path):
    write_bundles(tmp_path)
    assert bundle.calibration(tmp_path) == {}  # of before there was one
    own = {"method": "platt", "slope": 2.0}
    for name in MODELS:
        path = tmp_path / name / "model.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration": {name: {}, "ensemble": own}}))
    assert bundle.calibration(tmp_path) == own
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration": {}}))
    assert bundle.calibration(tmp_path) == {}
