"""A small made-up project on disk, as the stages before the report leave it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pneumonia import pictures
from pneumonia.evaluation import outputs
from pneumonia.evaluation.evaluate import evaluate
from pneumonia.evaluation.explanations import explain
from pneumonia.evaluation.inputs import Predictions
from pneumonia.files import write_csv, write_json
from pneumonia.prediction import calibration
from pneumonia.prediction.tables import write_predictions
from pneumonia.schema.models import CALIBRATION

SIZE = 64
STUDY = "0004cfab-14fd-4e49-80ba-63a80b6b{:04d}"
ANSWERING = ("classifier", "maskrcnn", "yolo")
PARAMS = {
    "classifier": {"backbone": "resnet_small"},
    "ensemble": {"strategy": "wbf", "gate": {"mode": "none"}},
    "evaluate": {"operating_point": {"rule": "best_f1"}},
    "maskrcnn": {"phases": [{"layers": "<all>"}]},
}


def write(root: Path) -> Path:
    """Twelve studies of 640 x 640 at scale 0.1; every third shows an opacity; half of them validate. Returns `root`.

    Holdout: studies 0, 2, 4, 7, 9, 11; ill are 0 (found, 0.9) and 9 (0.2, far off); 2 is a false alarm at 0.75.
    """
    rng = np.random.default_rng(0)
    ids = [STUDY.format(i) for i in range(12)]
    ill = [i % 3 == 0 for i in range(12)]
    studies = pd.DataFrame(
        {
            "study": ids, "person": [f"p{i}" for i in range(12)],
            "category": ["opacity" if i else "normal" for i in ill], "target": [int(i) for i in ill],
            "view": ["AP", "PA"] * 6, "sex": ["F", "M", ""] * 4, "age": [57.0, 93.0, np.nan, 4.0] * 3,
            "rows": 640, "columns": 640,
        }
    )  # fmt: skip
    boxes = pd.DataFrame([(s, 100.0, 200.0, 150.0, 300.0) for s, i in zip(ids, ill, strict=True) if i],
                         columns=["study", "x", "y", "width", "height"])  # fmt: skip
    split = pd.DataFrame({"study": ids, "subset": ["holdout", "validation"] * 3 + ["validation", "holdout"] * 3})
    split["fold"] = split["subset"].map({"holdout": -1, "validation": 0})
    detections = boxes.assign(score=[0.9, 0.8, 0.7, 0.2], x=[100.0, 110, 120, 400])
    extra = pd.DataFrame([(ids[1], 10, 10, 99, 99, 0.6), (ids[2], 10, 10, 99, 99, 0.75)], columns=detections.columns)
    detections = pd.concat([detections, extra])
    scores = detections.groupby("study")["score"].max().reindex(ids).fillna(0.0)
    data = root / "data"
    write_csv(data / "clean/studies.csv", studies)
    write_csv(data / "clean/boxes.csv", boxes)
    write_csv(data / "split/split.csv", split)
    for folder in ("predictions/maskrcnn", "predictions/yolo", "ensemble"):
        write_predictions(data / folder, detections, scores)
    (data / "predictions/classifier").mkdir()
    write_csv(data / "predictions/classifier/scores.csv", scores.rename("score").rename_axis("study").reset_index())
    maps = rng.uniform(size=(12, 4, 4)).astype(np.float16)
    np.save(data / "predictions/classifier/cam.npy", maps)
    (data / f"images/{SIZE}").mkdir(parents=True)
    np.save(data / f"images/{SIZE}/shard-00000.npy", rng.integers(0, 255, (12, SIZE, SIZE), dtype=np.uint8))
    placed = {"scale": 0.1, "pad_x": 0.0, "pad_y": 0.0, "aspect": 1.0, "columns": 640, "rows": 640, "window": "none"}
    images = pd.DataFrame({"study": ids, "shard": 0, "row": range(12)}).assign(**placed)
    write_csv(data / f"images/{SIZE}/index.csv", images)
    models = {name: Predictions(scores, detections) for name in ("maskrcnn", "yolo", "ensemble")}
    models["classifier"] = Predictions(scores)
    result = evaluate(studies, boxes, split, models, rule="best_f1", value=0.5, resamples=20, seed=1)
    outputs.write(root, result)
    seen = dict(zip(ids, maps, strict=True))
    explained = explain(studies, boxes, split, seen, _to_resized, SIZE, resamples=20, seed=1)
    write_json(root / "metrics/explain.json", explained)
    rejected = {"unreadable": 1, "no_pixels": 2, "colour": 0, "total": 3}
    write_json(root / "metrics/clean.json", {"studies": 12, "rejected": rejected, "mended": {"odd_age": 1}})
    counts = {"studies": 6, "positive": 2, "persons": 6}
    write_json(
        root / "metrics/split.json",
        {"persons_shared": 0, "subsets": dict.fromkeys(("train", "validation", "holdout"), counts)},
    )
    history = pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.5], "val_loss": [1.1, 0.7], "val_auc": [0.5, 0.6]})
    for model in ("classifier", "maskrcnn", "yolo"):
        write_csv(root / f"plots/history/{model}.csv", history)
    (root / "plots/explore").mkdir()
    (root / "plots/explore/box_sizes.png").write_bytes(pictures.png(np.zeros((40, 60), np.uint8)))
    calibration.write(root / CALIBRATION, dict.fromkeys(models, calibration.NONE))
    return root


def _to_resized(_: str, boxes: np.ndarray) -> np.ndarray:
    corners = np.c_[boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]
    return corners * 0.1
