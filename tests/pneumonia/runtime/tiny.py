"""Bundles whose graphs are a handful of operations, so that what they say can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pneumonia.runtime import bundle
from pneumonia.runtime.bundle import Bundle
from pneumonia.schema.models import MODELS, has_boxes

SIZE = 32
OPTIONS = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 2}


def write_bundle(folder: Path, name: str, **fields: Any) -> Bundle:
    """A bundle of a classifier whose score is the mean grey value over 255, or of a detector that finds one box,
    x 8..24, y 4..16, with score 0.75, in every image that is not black, of two that it has room for."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder.mkdir(parents=True)
    onnx.save(_detector(onnx.helper) if has_boxes(name) else _classifier(onnx.helper), folder / "model.onnx")
    values: dict[str, Any] = {
        "kind": name,
        "format": "onnx",
        "image_size": SIZE,
        "predict": OPTIONS if has_boxes(name) else {},
        "files": bundle.hashes(folder),
        "trained": {},
        "parity": {},
        "operating_point": 0.5,
        "licence": "MIT",
        "versions": {},
    }
    made = Bundle(**(values | fields))
    made.write(folder)
    return made


def write_bundles(folder: Path, own: Callable[[str], dict[str, Any]] = lambda name: {}, **fields: Any) -> None:
    """One of each model; `own` gives fields by its name."""
    for name in MODELS:
        write_bundle(folder / name, name, **fields, **own(name))


def _model(helper: Any, nodes: list[Any], outputs: dict[str, tuple[int, list[Any]]], constants: list[Any]) -> Any:
    images = helper.make_tensor_value_info("images", 2, ["N", SIZE, SIZE])
    wanted = [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()]
    graph = helper.make_graph(nodes, "tiny", [images], wanted, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _classifier(helper: Any) -> Any:
    nodes = [
        helper.make_node("Cast", ["images"], ["grey"], to=1),
        helper.make_node("ReduceMean", ["grey", "axes"], ["mean"], keepdims=1),
        helper.make_node("Div", ["mean", "most"], ["map"]),
        helper.make_node("Squeeze", ["map", "axes"], ["score"]),
    ]
    constants = [helper.make_tensor("axes", 7, [2], [1, 2]), helper.make_tensor("most", 1, [], [255.0])]
    return _model(helper, nodes, {"score": (1, ["N"]), "map": (1, ["N", 1, 1])}, constants)


def _detector(helper: Any) -> Any:
    nodes = [
        helper.make_node("Cast", ["images"], ["grey"], to=6),
        helper.make_node("ReduceMax", ["grey", "axes"], ["most"], keepdims=0),
        helper.make_node("Min", ["most", "one"], ["count"]),
        helper.make_node("Cast", ["count"], ["seen"], to=1),
        helper.make_node("Unsqueeze", ["seen", "second"], ["column"]),
        helper.make_node("Mul", ["column", "score"], ["scores"]),
        helper.make_node("Unsqueeze", ["column", "third"], ["cube"]),
        helper.make_node("Mul", ["cube", "box"], ["boxes"]),
    ]
    constants = [
        helper.make_tensor("axes", 7, [2], [1, 2]),
        helper.make_tensor("one", 6, [], [1]),
        helper.make_tensor("second", 7, [1], [1]),
        helper.make_tensor("third", 7, [1], [2]),
        helper.make_tensor("score", 1, [1, 2], [0.75, 0.0]),
        helper.make_tensor("box", 1, [1, 2, 4], [8.0, 4.0, 24.0, 16.0, 0.0, 0.0, 0.0, 0.0]),
    ]
    return _model(helper, nodes, {"boxes": (1, ["N", 2, 4]), "scores": (1, ["N", 2]), "count": (6, ["N"])}, constants)
