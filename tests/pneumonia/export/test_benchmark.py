"""Models measured, each in a process of its own. What the figures are depends on the machine; that they are there does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.pneumonia.runtime.tiny import OPTIONS, write_bundle

from pneumonia.export import alone, benchmark
from pneumonia.export.benchmark import Row

ROW = Row("yolo", "onnx", 34.79, 0.456, 12.34, 98.76, 123.4)


def test_every_model_of_a_folder_is_measured(tmp_path: Path):
    for name in ("yolo", "classifier"):
        write_bundle(tmp_path / name, name)
    rows = benchmark.measure([tmp_path], OPTIONS, studies=32, threads=1)
    assert [(row.model, row.format) for row in rows] == [("classifier", "onnx"), ("yolo", "onnx")]
    for row in rows:
        assert 0 < row.study_ms / 1000 < row.first_s < 60
        assert row.studies_per_s > 1
        assert 10 < row.peak_mib < 2000
        assert 0 < row.size_mb < 0.01
    said = benchmark.as_dict(rows)
    assert said["rows"][1]["format"] == "onnx"
    assert set(said["versions"]) == {"onnxruntime"}
    assert json.loads(json.dumps(said)) == said


def test_the_table():
    head, row = benchmark.text([ROW]).splitlines()
    assert head.split("  ")[0] == "model"
    assert row.split() == ["yolo", "onnx", "34.8", "0.46", "12.3", "98.8", "123"]
    assert head.index("peak MiB") == row.index("123")


def test_what_cannot_be_measured_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"holds no model: wanted a folder of classifier, maskrcnn, yolo"):
        benchmark.measure([tmp_path], OPTIONS, studies=1, threads=1)
    write_bundle(tmp_path / "yolo", "yolo", predict={"score_floor": 0.5})
    with pytest.raises(ValueError, match=r"yolo cannot be measured: .*missing 2 required positional arguments"):
        benchmark.measure([tmp_path], OPTIONS, studies=1, threads=1)


def test_one_alone(tmp_path: Path):
    write_bundle(tmp_path / "classifier", "classifier")
    found = alone.main(tmp_path / "classifier", {}, 20, 16, 1)  # the last batch is not full
    assert set(found) == {"first_s", "study_ms", "studies_per_s", "peak_mib"}
