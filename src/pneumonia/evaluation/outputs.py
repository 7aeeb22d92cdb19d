"""What an evaluation writes to a project's folders."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumonia.evaluation.evaluate import Evaluation
from pneumonia.files import fresh_dir, write_csv, write_json


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
