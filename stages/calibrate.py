"""Each model's study score as a probability, fitted on validation: predictions -> models/calibration.json."""

from __future__ import annotations

from pneumonia import params
from pneumonia.data.subsets import subset
from pneumonia.evaluation.calibrate import calibrations
from pneumonia.evaluation.inputs import read
from pneumonia.prediction.calibration import write
from pneumonia.schema.models import CALIBRATION, ENSEMBLE


def main() -> None:
    p = params.load()
    inputs = read(".", [*p.answering, ENSEMBLE])
    validation = subset(inputs.studies, inputs.boxes, inputs.split, "validation")
    fitted = calibrations(inputs.predictions, validation, method=p.calibrate.method, score_floor=p.predict.score_floor)
    write(CALIBRATION, fitted)
    for name, own in fitted.items():
        print(f"{name}: {own.method}{f', {own.reason}' if own.reason else ''}")


if __name__ == "__main__":
    main()
