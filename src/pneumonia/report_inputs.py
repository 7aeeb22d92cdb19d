"""Reads what the report shows from a project's folders (docs/design.md, "Files")."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumonia.evaluation import Labelled, subset
from pneumonia.files import read_csv, read_json, sha256
from pneumonia.gallery import galleries
from pneumonia.images import ShardStore
from pneumonia.metrics.matching import box_table
from pneumonia.metrics.operating_point import table
from pneumonia.predictions import BOX_COLUMNS, DETECTORS, read_detections, read_scores
from pneumonia.report import Inputs

MODELS = ("classifier", *DETECTORS)
STUDY_COLUMNS = {
    "study": "str", "person": "str", "category": "str", "target": "int", "view": "str", "sex": "str", "age": "float"
}  # fmt: skip
SLIDER_STEPS = 60


def read(root: Path, *, image_size: int, examples: int, params: Mapping[str, Any]) -> Inputs:
    """Read it all from `root`. image_size: which of data/images/; examples: studies a gallery; params: to be shown."""
    data = root / "data"
    evaluation = read_json(root / "metrics/evaluation.json")
    holdout = subset(
        read_csv(data / "clean/studies.csv", STUDY_COLUMNS),
        read_csv(data / "clean/boxes.csv", BOX_COLUMNS),
        read_csv(data / "split/split.csv", {"study": "str", "subset": "str"}),
        "holdout",
    )
    scores = {model: read_scores(data / "predictions" / model) for model in MODELS}
    detections = {model: read_detections(data / "predictions" / model) for model in DETECTORS}
    scores["ensemble"], detections["ensemble"] = read_scores(data / "ensemble"), read_detections(data / "ensemble")
    store = ShardStore(data / "images" / str(image_size))
    maps = np.load(data / "predictions/classifier/cam.npy", mmap_mode="r", allow_pickle=False)
    rows = {study: row for row, study in enumerate(scores["classifier"].index)}
    ensemble = evaluation["ensemble"]
    kinds = galleries(
        holdout,
        scores,
        detections,
        store.to_resized,
        threshold=ensemble["threshold"],
        box_threshold=ensemble["box_threshold"],
        examples=examples,
    )
    files = ("data/clean/studies.csv", "data/clean/boxes.csv", "data/split/split.csv", "data/ensemble/detections.csv")
    return Inputs(
        evaluation=evaluation,
        clean=read_json(root / "metrics/clean.json"),
        split=read_json(root / "metrics/split.json"),
        curves={name: _curve(root / "plots" / name) for name in ("roc", "pr", "froc")},
        confusion=pd.read_csv(root / "plots/confusion.csv"),
        histories={model: pd.read_csv(root / f"plots/history/{model}.csv") for model in MODELS},
        operating=_operating(holdout, detections["ensemble"], ensemble["box_threshold"]),
        galleries=kinds,
        pixels=store.image,
        cam=lambda study: np.asarray(maps[rows[study]], np.float32),
        explore=[
            (path.stem.replace("_", " ").capitalize(), path.read_bytes())
            for path in sorted((root / "plots/explore").glob("*.png"))
        ],
        params=params,
        data=[(name, sha256(root / name)) for name in files],
    )


def _curve(folder: Path) -> pd.DataFrame:
    """The curves of all models in one table, the column `model` first."""
    parts = {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}
    return pd.concat(parts, names=["model"]).reset_index(level="model").reset_index(drop=True)


def _operating(holdout: Labelled, detections: pd.DataFrame, chosen: float) -> pd.DataFrame:
    """The slider's operating points: quantiles of the studies' highest scores, some round values, the chosen one."""
    boxes = box_table(holdout.ids, detections, holdout.boxes)
    steps = np.quantile(boxes.highest(), np.linspace(0.02, 0.995, SLIDER_STEPS)).round(3)
    thresholds = np.unique(np.r_[steps[steps > 0], 0.1, 0.3, 0.5, 0.7, chosen])
    return table(boxes, holdout.targets, thresholds.tolist())
