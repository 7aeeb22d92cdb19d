"""The models by name, in the order of tables and pages, and where their predictions lie. A new detector is added here."""

from __future__ import annotations

from pneumonia.schema.predictions import DETECTIONS, FUSED, PREDICTIONS, SCORES

CLASSIFIER = "classifier"
DETECTORS = ("maskrcnn", "yolo")
MODELS = (CLASSIFIER, *DETECTORS)  # what is trained
ENSEMBLE = "ensemble"
EVALUATED = (*MODELS, ENSEMBLE)

CALIBRATION = "models/calibration.json"  # of each of EVALUATED: what makes its score of a study a probability

FOLDERS = {model: f"{PREDICTIONS}/{model}" for model in MODELS} | {ENSEMBLE: FUSED}  # of predictions


def has_boxes(model: str) -> bool:
    """Whether a model gives boxes beside the score of a study."""
    return model != CLASSIFIER


def tables(model: str) -> list[str]:
    """Paths of a model's predictions, from the project's root."""
    names = [SCORES.name, *([DETECTIONS.name] if has_boxes(model) else [])]
    return [f"{FOLDERS[model]}/{name}" for name in names]
