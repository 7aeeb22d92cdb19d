"""Reads what the report shows from a project's folders (docs/design.md, "Files")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumonia.data.images.store import ShardStore
from pneumonia.data.subsets import Labelled, subset
from pneumonia.evaluation import inputs
from pneumonia.evaluation.calibrate import calibrated
from pneumonia.files import read_json
from pneumonia.prediction import calibration
from pneumonia.report import provenance
from pneumonia.report.gallery import galleries
from pneumonia.report.page import Inputs
from pneumonia.report.slider import settings
from pneumonia.schema import explore
from pneumonia.schema.data import CLEAN, CLEAN_METRICS, IMAGES, SPLIT_FOLDER, SPLIT_METRICS
from pneumonia.schema.models import CALIBRATION, CLASSIFIER, ENSEMBLE, FOLDERS
from pneumonia.schema.predictions import FUSED, MAPS, PREDICTIONS
from pneumonia.schema.results import CURVES, EVALUATION, EXPLAIN, OPERATING, SUBGROUPS
from pneumonia.schema.training import HISTORY
from pneumonia.schema.training import MODELS as TRAINED

DRAWN = ("roc", "pr", "froc", "calibration")  # of the curves
TABLES = {"subgroups": SUBGROUPS, "operating": OPERATING}


def read(
    root: Path, models: Sequence[str], *, source: str, image_size: int, examples: int, params: Mapping[str, Any]
) -> Inputs:
    """Read it all from `root`. What a project of another day may lack (curves, tables, metrics/explain.json) is empty.

    Arguments:
        models: those that answer, of `pneumonia.schema.models.MODELS`.
        source: where the studies come from (`fetch.source`).
        image_size: which of data/images/.
        examples: studies a gallery.
        params: to be shown.
    """
    evaluation = read_json(root / EVALUATION)
    own = inputs.read(root, [*models, ENSEMBLE])
    holdout = subset(own.studies, own.boxes, own.split, "holdout")
    predictions = calibrated(own.predictions, calibration.read(root / CALIBRATION))
    scores = {model: said.scores for model, said in predictions.items()}
    detections = {model: said.detections for model, said in predictions.items() if said.detections is not None}
    store = ShardStore(root / IMAGES / str(image_size))
    maps = np.load(root / FOLDERS[CLASSIFIER] / MAPS, mmap_mode="r", allow_pickle=False)
    rows = {study: row for row, study in enumerate(scores[CLASSIFIER].index)}
    return Inputs(
        source=source,
        evaluation=evaluation,
        clean=read_json(root / CLEAN_METRICS),
        split=read_json(root / SPLIT_METRICS),
        explain=read_json(root / EXPLAIN) if (root / EXPLAIN).exists() else {},
        curves={name: _curve((root / CURVES[name].path).parent) for name in DRAWN},
        tables={name: _table(root / table.path) for name, table in TABLES.items()},
        histories={model: _table(root / HISTORY.format(model=model)) for model in models},
        settings=_settings(holdout, scores, detections, evaluation),
        galleries=galleries(
            holdout,
            scores,
            detections,
            store.to_resized,
            thresholds={model: evaluation[model]["threshold"] for model in scores},
            box_threshold=evaluation[ENSEMBLE]["box_threshold"],
            examples=examples,
        ),
        pixels=store.image,
        cam=lambda study: np.asarray(maps[rows[study]], np.float32),
        explore=[(path.stem, path.read_bytes()) for path in sorted((root / explore.FOLDER).glob("*.png"))],
        params=params,
        data=provenance.hashes(root, _hashed(models)),
        packages=provenance.packages(),
    )


def _settings(
    holdout: Labelled,
    scores: Mapping[str, pd.Series],
    detections: Mapping[str, pd.DataFrame],
    evaluation: Mapping[str, Any],
) -> dict[str, pd.DataFrame]:
    result = {}
    for model, series in scores.items():
        threshold = evaluation[model]["threshold"]
        box_threshold = evaluation[model].get("box_threshold", threshold)
        result[model] = settings(holdout, series, detections.get(model), threshold, box_threshold)
    return result


def _hashed(models: Sequence[str]) -> list[str]:
    """The files and folders that the page names by their hashes."""
    predictions = [f"{PREDICTIONS}/{name}" for name in sorted(models)]
    return [CLEAN, SPLIT_FOLDER, *predictions, FUSED, *(f"{TRAINED}/{name}" for name in models), EVALUATION]


def _curve(folder: Path) -> pd.DataFrame:
    """The curves of all models in one table, the column `model` first; empty without a file."""
    parts = {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}
    if not parts:
        return pd.DataFrame({"model": []})
    return pd.concat(parts, names=["model"]).reset_index(level="model").reset_index(drop=True)


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""]) if path.exists() else pd.DataFrame()
