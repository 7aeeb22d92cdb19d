"""Thresholds from validation, numbers from holdout: predictions and labels -> metrics/evaluation.json, plots."""

from __future__ import annotations

from pathlib import Path

from pneumonia import params
from pneumonia.evaluation import Predictions, evaluate
from pneumonia.files import fresh_dir, read_csv, write_csv, write_json
from pneumonia.predictions import BOX_COLUMNS, DETECTORS, read_detections, read_scores

STUDY_COLUMNS = {"study": "str", "person": "str", "category": "str", "target": "int", "view": "str"}


def main() -> None:
    p = params.load().evaluate
    folders = {model: Path("data/predictions") / model for model in DETECTORS} | {"ensemble": Path("data/ensemble")}
    predictions = {model: Predictions(read_scores(path), read_detections(path)) for model, path in folders.items()}
    predictions["classifier"] = Predictions(read_scores("data/predictions/classifier"))
    result = evaluate(
        read_csv("data/clean/studies.csv", STUDY_COLUMNS),
        read_csv("data/clean/boxes.csv", BOX_COLUMNS),
        read_csv("data/split/split.csv", {"study": "str", "subset": "str"}),
        predictions,
        **p.operating_point.values(),
        resamples=p.bootstrap,
        seed=p.seed,
    )
    for name, points in result.curves.items():
        with fresh_dir(f"plots/{name}") as folder:
            for model, own in points.groupby("model"):
                write_csv(folder / f"{model}.csv", own.drop(columns="model"), dict.fromkeys(points.columns[1:], 5))
    write_csv("plots/confusion.csv", result.confusion)
    write_json("metrics/evaluation.json", result.metrics)
    print(f"holdout: ensemble AUC {result.metrics['ensemble']['auc']:.3f}, AP {result.metrics['ensemble']['ap50']:.3f}")


if __name__ == "__main__":
    main()
