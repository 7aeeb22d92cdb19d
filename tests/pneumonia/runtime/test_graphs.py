"""A graph in memory. Other formats than ONNX are run where they are written: tests/pneumonia/export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.pneumonia.runtime.tiny import SIZE, write_bundle

from pneumonia import extras
from pneumonia.runtime.graphs import cores, open_graph


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_outputs_have_names(tmp_path: Path, threads: int):
    write_bundle(tmp_path / "yolo", "yolo")
    images = np.zeros((2, SIZE, SIZE), np.uint8)
    images[1] = 51
    found = open_graph(tmp_path / "yolo", "onnx", threads)(images)
    assert found["scores"].tolist() == [[0, 0], [0.75, 0]]
    assert found["boxes"][1].tolist() == [[8, 4, 24, 16], [0, 0, 0, 0]]
    assert found["count"].tolist() == [0, 1]


def test_a_runtime_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    for form, words in (("onnx", r"onnxruntime, .*'\.\[onnx\]'"), ("litert", r"ai_edge_litert, .*'\.\[litert\]'")):
        with pytest.raises(ModuleNotFoundError, match=f"a model in the format {form} needs {words}"):
            open_graph(tmp_path, form)


def test_there_are_cores():
    assert cores() >= 1
