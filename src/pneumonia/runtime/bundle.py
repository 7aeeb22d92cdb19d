"""A bundle: one trained model as a graph for another runtime, and `model.json`, which says what must be known to run it.

The graph takes `images`, uint8 `[N, size, size]`, and gives float32 `score` `[N]` and `map` `[N, h, w]` (the classifier), or `boxes`
`[N, K, 4]` (x1, y1, x2, y2 in pixels of the image), `scores` `[N, K]`, best first, and int32 `count` `[N]`, how many of K there are
(a detector).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pneumonia import files
from pneumonia.schema.models import ENSEMBLE, MODELS
from pneumonia.schema.training import DESCRIPTION

GRAPHS = {"onnx": "model.onnx", "openvino": "model.xml", "litert": "model.tflite", "savedmodel": "saved_model"}
PACKAGES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert",
    "savedmodel": "tensorflow",
}  # to run it
FORMATS = tuple(GRAPHS)
FORM = 1  # of model.json; a reader refuses another
CARD, DATASHEET = "README.md", "DATASHEET.md"  # for people, beside a bundle; no part of it


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The content of a bundle's `model.json`.

    Attributes:
        kind: one of `pneumonia.schema.models.MODELS`.
        format: one of `FORMATS`.
        image_size: pixels, side of the images it wants.
        predict: score_floor, nms_iou and max_detections that a detector's graph holds; empty for the classifier.
        files: SHA-256 of each file of the graph, by its path in the bundle.
        trained: SHA-256 of each file of the trained model that it was made from.
        parity: studies that it was compared on with that model, and the largest differences that were found, see
            `pneumonia.export.parity`.
        operating_point: score of the *ensemble* from which a box counts; None where none was chosen.
        calibration: what makes a study's score a probability, of this model and of the `ensemble`, each as
            `pneumonia.prediction.calibration.Calibration` has it; empty where none was fitted.
        licence: of the weights.
        versions: of the packages that made it.
        form: of this description.
    """

    kind: str
    format: str
    image_size: int
    predict: Mapping[str, float]
    files: Mapping[str, str]
    trained: Mapping[str, str]
    parity: Mapping[str, Any]
    operating_point: float | None
    licence: str
    versions: Mapping[str, str]
    calibration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    form: int = FORM

    def write(self, folder: Path) -> None:
        """Write `model.json`."""
        files.write_json(folder / DESCRIPTION, asdict(self))


def holds_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle, and no trained model, whose `model.json` says other things."""
    path = folder / DESCRIPTION
    return path.is_file() and "form" in files.read_json(path)


def read(folder: Path) -> Bundle:
    """The description of a bundle, its files checked.

    Raises:
        ValueError: it is none, is of a form or format that this version does not know, or a file is not the one it was made with.
    """
    if not holds_bundle(folder):
        raise ValueError(f"there is no exported model at {folder}; run `pneumonia export` first")
    described: dict[str, Any] = files.read_json(folder / DESCRIPTION)
    if described["form"] != FORM:
        raise ValueError(f"{folder / DESCRIPTION} has form {described['form']}, wanted {FORM}: export the model again")
    try:
        bundle = Bundle(**described)
    except TypeError as error:
        raise ValueError(f"{folder / DESCRIPTION} is no description of a bundle: {error}") from error
    if bundle.format not in GRAPHS:
        raise ValueError(f"{folder / DESCRIPTION} has format {bundle.format!r}, wanted one of {', '.join(FORMATS)}")
    found = hashes(folder)
    if found != dict(bundle.files):
        differ = sorted(name for name in {*found, *bundle.files} if found.get(name) != bundle.files.get(name))
        raise ValueError(f"{folder}: {', '.join(differ)} is not what was exported; export the model again")
    return bundle


def operating_point(models: Path) -> float | None:
    """The operating point that the bundles in a folder name; None where they name none, or not the same."""
    described = [files.read_json(models / name / DESCRIPTION) for name in MODELS if holds_bundle(models / name)]
    named = {own.get("operating_point") for own in described}
    return named.pop() if len(named) == 1 else None


def calibration(models: Path) -> Mapping[str, Any]:
    """The ensemble's calibration that the bundles in a folder name; empty where they name none, or not the same."""
    described = [files.read_json(models / name / DESCRIPTION) for name in MODELS if holds_bundle(models / name)]
    named: list[Mapping[str, Any]] = [own.get("calibration", {}).get(ENSEMBLE, {}) for own in described]
    return named[0] if named and all(own == named[0] for own in named) else {}


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model's folder by its path there; of a bundle's, what is said of it is left out."""
    every = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in every}
    if holds_bundle(folder):
        for said in (DESCRIPTION, CARD, DATASHEET):
            named.pop(said, None)
    return {name: files.sha256(path) for name, path in named.items()}
