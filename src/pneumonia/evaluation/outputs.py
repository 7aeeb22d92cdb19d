"""What an evaluation writes to a project's folders."""

from __future__ import annotations

from pathlib import Path

from pneumonia.evaluation.evaluate import Evaluation
from pneumonia.files import fresh_dir, write_json
from pneumonia.schema.results import CONFUSION, CURVES, EVALUATION, OPERATING, SUBGROUPS


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
