"""What an evaluation reads from a project's folders and writes to them (docs/design.md, "Files")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumonia.evaluation.evaluate import Evaluation
from pneumonia.evaluation.measured import Predictions
from pneumonia.files import fresh_dir, write_json
from pneumonia.prediction.tables import read_detections, read_scores
from pneumonia.schema.data import BOXES, SPLIT, STUDIES
from pneumonia.schema.models import EVALUATED, FOLDERS, has_boxes, tables
from pneumonia.schema.results import CONFUSION, CURVES, EVALUATION, OPERATING, SUBGROUPS

# Read of studies.csv.
STUDY_COLUMNS = ("study", "person", "category", "target", "view", "sex", "age", "rows", "columns")


@dataclass(frozen=True)
class Inputs:
    """studies, boxes, split as `pneumonia.evaluation.evaluate.evaluate` takes them; predictions: model -> Predictions."""

    studies: pd.DataFrame
    boxes: pd.DataFrame
    split: pd.DataFrame
    predictions: dict[str, Predictions]


def paths(models: Sequence[str] = EVALUATED) -> list[str]:
    """The files `read` reads, relative to the project's root."""
    return [table.path for table in (STUDIES, BOXES, SPLIT)] + [path for model in models for path in tables(model)]


def read(root: str | Path, models: Sequence[str] = EVALUATED) -> Inputs:
    """Read the labels and the predictions of `models` from a project's root."""
    root = Path(root)
    predictions = {}
    for model in models:
        folder = root / FOLDERS[model]
        detections = read_detections(folder) if has_boxes(model) else None
        predictions[model] = Predictions(read_scores(folder), detections)
    return Inputs(
        STUDIES.read(root, STUDY_COLUMNS),
        BOXES.read(root),
        SPLIT.read(root, ("study", "subset")),
        predictions,
    )


def write(root: str | Path, result: Evaluation) -> None:
    """Write metrics/evaluation.json and the CSVs under plots/: curves and calibration a file a model, five decimals."""
    root = Path(root)
    for name, points in {**result.curves, "calibration": result.tables["calibration"]}.items():
        curve = CURVES[name]
        with fresh_dir((root / curve.path).parent) as folder:
            for model, own in points.groupby("model"):
                curve.write(folder / curve.of(model=str(model)).name, own)
    SUBGROUPS.write(root / SUBGROUPS.path, result.tables["subgroups"])
    OPERATING.write(root / OPERATING.path, result.tables["operating"])
    CONFUSION.write(root / CONFUSION.path, result.confusion)
    write_json(root / EVALUATION, result.metrics)
