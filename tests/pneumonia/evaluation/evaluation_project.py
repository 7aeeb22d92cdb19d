"""A small made-up project on disk, as the stages before evaluate leave it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pneumonia.files import write_csv
from pneumonia.prediction.tables import write_predictions

BOX = ["study", "x", "y", "width", "height"]


def write_project(root, *, shift=0.0, studies=60, seed=0):
    """A made-up project: every third study shows an opacity; half hold out, half validate; `shift` spoils detections."""
    rng = np.random.default_rng(seed)
    ids = [f"s{i:03d}" for i in range(studies)]
    ill = np.arange(studies) % 3 == 0
    table = pd.DataFrame(
        {
            "study": ids, "person": [f"p{i // 2}" for i in range(studies)],
            "category": np.where(ill, "opacity", "normal"), "target": ill.astype(int),
            "view": np.where(np.arange(studies) % 2, "AP", "PA"), "sex": "F", "age": 50.0, "rows": 500, "columns": 500,
        }
    )  # fmt: skip
    boxes = pd.DataFrame([(s, 50.0, 60.0, 100.0 + i, 120.0) for i, s in enumerate(ids) if ill[i]], columns=BOX)
    write_csv(root / "data/clean/studies.csv", table)
    write_csv(root / "data/clean/boxes.csv", boxes)
    fold = np.where(np.arange(studies) // 2 % 2, -1, 0)
    subset = np.where(fold, "holdout", "validation")
    write_csv(root / "data/split/split.csv", table[["study"]].assign(fold=fold, subset=subset))
    detections = boxes.assign(x=boxes["x"] + shift, score=rng.uniform(0.4, 1, len(boxes)))
    false = pd.DataFrame([(s, 200.0, 60.0, 90.0, 90.0, rng.uniform(0, 0.6)) for s in ids], columns=[*BOX, "score"])
    detections = pd.concat([detections, false])
    for folder in ("predictions/maskrcnn", "predictions/yolo", "ensemble"):
        write_predictions(root / "data" / folder, detections, detections.groupby("study")["score"].max())
    scores = pd.DataFrame({"study": ids, "score": np.clip(rng.normal(0.3 + 0.4 * ill, 0.2), 0, 1)})
    (root / "data/predictions/classifier").mkdir()
    write_csv(root / "data/predictions/classifier/scores.csv", scores, {"score": 6})
