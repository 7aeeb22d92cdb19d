"""Thresholds from validation, numbers from holdout: predictions and labels -> metrics/evaluation.json, plots."""

from __future__ import annotations

from pneumonia import params
from pneumonia.evaluation.calibrate import calibrated
from pneumonia.evaluation.evaluate import evaluate
from pneumonia.evaluation.inputs import read
from pneumonia.evaluation.outputs import write
from pneumonia.prediction import calibration
from pneumonia.schema.models import CALIBRATION, ENSEMBLE


def main() -> None:
    every = params.load()
    p = every.evaluate
    inputs = read(".", [*every.answering, ENSEMBLE])
    result = evaluate(
        inputs.studies,
        inputs.boxes,
        inputs.split,
        calibrated(inputs.predictions, calibration.read(CALIBRATION)),
        **p.operating_point.values(),
        resamples=p.bootstrap,
        seed=p.seed,
    )
    write(".", result)
    print(f"holdout: ensemble AUC {result.metrics['ensemble']['auc']:.3f}, AP {result.metrics['ensemble']['ap50']:.3f}")


if __name__ == "__main__":
    main()
