"""What an evaluation writes to a project's folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pneumonia.evaluation.evaluate import Evaluation
from pneumonia.files import fresh_dir, write_json
from pneumonia.schema.models import EVALUATED
from pneumonia.schema.results import CONFUSION, CURVES, EVALUATION, HEADLINE, HEADLINES, OPERATING, SUBGROUPS


def write(root: str | Path, result: Evaluation) -> None:
    """Write metrics/evaluation.json, its headlines in metrics/holdout, and the CSVs under plots/: curves a file a model."""
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
    with fresh_dir(root / HEADLINES) as folder:
        for model in EVALUATED:
            if model in result.metrics:
                write_json(folder / f"{model}.json", headline(result.metrics[model]))


def headline(measures: Mapping[str, Any]) -> dict[str, float]:
    """The few measures of a model that one looks at, flat, so that `dvc metrics show` has a row a model and fits a screen.

    Four decimals: intervals of a hold-out are wider.
    """
    names = [f"{name}{end}" for name in HEADLINE for end in ("", "_low", "_high")]
    return {name: round(measures[name], 4) for name in names if measures.get(name) is not None}
