"""The models by name, in the order of tables and pages, and where their predictions lie. A new detector is added here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pneumonia.schema.predictions import DETECTIONS, FUSED, PREDICTIONS, SCORES

CLASSIFIER = "classifier"
# The one list of detectors: name (of its package, its section of params.yaml, its stages and folders) -> as it is written.
WRITTEN = {"maskrcnn": "Mask R-CNN", "yolo": "YOLOv3", "efficientdet": "EfficientDet"}
DETECTORS = tuple(WRITTEN)
MODELS = (CLASSIFIER, *DETECTORS)  # what can be trained
ENSEMBLE = "ensemble"
EVALUATED = (*MODELS, ENSEMBLE)

CALIBRATION = "models/calibration.json"  # of each of EVALUATED: what makes its score of a study a probability

FOLDERS = {model: f"{PREDICTIONS}/{model}" for model in MODELS} | {ENSEMBLE: FUSED}  # of predictions


def answering(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The models that answer, in the order of the list: those that params have and do not turn off.

    Arguments:
        params: of params.yaml, "section.key" -> value. A section that is not there is of a model that came later; one whose
            `enabled` is false, of a model that is off.
    """
    sections = {key.partition(".")[0] for key in params}
    return tuple(name for name in MODELS if name in sections and params.get(f"{name}.enabled", True))


def has_boxes(model: str) -> bool:
    """Whether a model gives boxes beside the score of a study."""
    return model != CLASSIFIER


def tables(model: str) -> list[str]:
    """Paths of a model's predictions, from the project's root."""
    names = [SCORES.name, *([DETECTIONS.name] if has_boxes(model) else [])]
    return [f"{FOLDERS[model]}/{name}" for name in names]
