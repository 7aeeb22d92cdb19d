"""What an evaluation reads from a project's folders and writes to them (docs/design.md, "Files")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumonia.evaluation.evaluate import Evaluation
from pneumonia.evaluation.measured import Predictions
from pneumonia.files import fresh_dir, read_csv, write_csv, write_json
from pneumonia.prediction.tables import BOX_COLUMNS, DETECTORS, read_detections, read_scores

MODELS = ("classifier", *DETECTORS, "ensemble")
STUDIES, BOXES, SPLIT = "data/clean/studies.csv", "data/clean/boxes.csv", "data/split/split.csv"
STUDY_COLUMNS = {
    "study": "str", "person": "str", "category": "str", "target": "int", "view": "str", "sex": "str", "age": "float",
    "rows": "int", "columns": "int",
}  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """studies, boxes, split as `pneumonia.evaluation.evaluate.evaluate` takes them; predictions: model -> Predictions."""

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
        read_csv(root / SPLIT, {"study": "str", "subset": "str"}),
        predictions,
    )


def write(root: str | Path, result: Evaluation) -> None:
    """Write metrics/evaluation.json and the CSVs under plots/: curves and calibration a file a model, five decimals."""
    root = Path(root)
    for name, table in {**result.curves, "calibration": result.tables["calibration"]}.items():
        with fresh_dir(root / "plots" / name) as folder:
            for model, own in table.groupby("model"):
                _write(folder / f"{model}.csv", own.drop(columns="model"))
    for name in ("subgroups", "operating"):
        _write(root / f"plots/{name}.csv", result.tables[name])
    write_csv(root / "plots/confusion.csv", result.confusion)
    write_json(root / "metrics/evaluation.json", result.metrics)


def _write(path: Path, frame: pd.DataFrame) -> None:
    decimals = dict.fromkeys(frame.select_dtypes("float").columns, 5)
    if "threshold" in decimals:  # a threshold is a score of a study: all its decimals, or the call at it changes
        decimals |= dict.fromkeys(set(decimals) & {"threshold", "box_threshold"}, 6)
    write_csv(path, frame, decimals)


def _folder(model: str) -> str:
    return "data/ensemble" if model == "ensemble" else f"data/predictions/{model}"
