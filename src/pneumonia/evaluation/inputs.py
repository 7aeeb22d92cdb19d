"""What an evaluation reads from a project's folders: labels, split and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumonia.prediction.tables import read_detections, read_scores
from pneumonia.schema.data import BOXES, SPLIT, STUDIES
from pneumonia.schema.models import FOLDERS, has_boxes, tables

# Read of studies.csv and of split.csv.
STUDY_COLUMNS = ("study", "person", "category", "target", "view", "sex", "age", "rows", "columns")
SPLIT_COLUMNS = ("study", "fold", "subset")


@dataclass(frozen=True)
class Predictions:
    """What one model says.

    Attributes:
        scores: study -> 0 to 1.
        detections: of a detector: study, x, y, width, height (pixels of the original image), score.
        raw: the scores before they were calibrated; None: they were not.
    """

    scores: pd.Series
    detections: pd.DataFrame | None = None
    raw: pd.Series | None = None


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


def paths(models: Sequence[str]) -> list[str]:
    """The files `read` reads, relative to the project's root."""
    return [table.path for table in (STUDIES, BOXES, SPLIT)] + [path for model in models for path in tables(model)]


def read(root: str | Path, models: Sequence[str]) -> Inputs:
    """Read the labels and the predictions of `models` from a project's root.

    Raises:
        ValueError: a model was off when its predictions were made.
    """
    root = Path(root)
    predictions = {}
    for model in models:
        folder = root / FOLDERS[model]
        detections = read_detections(folder) if has_boxes(model) else None
        predictions[model] = Predictions(scores := read_scores(folder), detections)
        if scores.empty:
            raise ValueError(f"{folder} holds no prediction: {model} was off ({model}.enabled in params.yaml)")
    return Inputs(
        STUDIES.read(root, STUDY_COLUMNS),
        BOXES.read(root),
        SPLIT.read(root, SPLIT_COLUMNS),
        predictions,
    )
