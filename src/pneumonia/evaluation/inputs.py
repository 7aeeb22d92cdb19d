"""What an evaluation reads from a project's folders: labels, split and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumonia.files import read_csv
from pneumonia.prediction.tables import BOX_COLUMNS, DETECTORS, read_detections, read_scores

MODELS = ("classifier", *DETECTORS, "ensemble")
STUDIES, BOXES, SPLIT = "data/clean/studies.csv", "data/clean/boxes.csv", "data/split/split.csv"
STUDY_COLUMNS = {
    "study": "str", "person": "str", "category": "str", "target": "int", "view": "str", "sex": "str", "age": "float",
    "rows": "int", "columns": "int",
}  # fmt: skip
SPLIT_COLUMNS = {"study": "str", "fold": "int", "subset": "str"}


@dataclass(frozen=True)
class Predictions:
    """What one model says: `scores` (study -> 0 to 1) and, of a detector, `detections` (study, x, y, ..., score)."""

    scores: pd.Series
    detections: pd.DataFrame | None = None


@dataclass(frozen=True)
class Inputs:
    """The content of the files that `paths` names.

    Attributes:
        studies, boxes: as `evaluation.evaluate.evaluate` takes them.
        split: study, fold, subset.
        predictions: model -> Predictions.
    """

    studies: pd.DataFrame
    boxes: pd.DataFrame
    split: pd.DataFrame
    predictions: dict[str, Predictions]


def paths(models: Sequence[str] = MODELS) -> list[str]:
    """The files `read` reads, relative to the project's root."""
    result = [STUDIES, BOXES, SPLIT]
    for model in models:
        result.append(f"{_folder(model)}/scores.csv")
        if model != "classifier":
            result.append(f"{_folder(model)}/detections.csv")
    return result


def read(root: str | Path, models: Sequence[str] = MODELS) -> Inputs:
    """Read the labels and the predictions of `models` from a project's root."""
    root = Path(root)
    predictions = {}
    for model in models:
        folder = root / _folder(model)
        detections = None if model == "classifier" else read_detections(folder)
        predictions[model] = Predictions(read_scores(folder), detections)
    return Inputs(
        read_csv(root / STUDIES, STUDY_COLUMNS),
        read_csv(root / BOXES, BOX_COLUMNS),
        read_csv(root / SPLIT, SPLIT_COLUMNS),
        predictions,
    )


def _folder(model: str) -> str:
    return "data/ensemble" if model == "ensemble" else f"data/predictions/{model}"
