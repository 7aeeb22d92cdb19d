"""The calibrations of several models on some studies, and what the models say with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.inputs import Predictions
from pneumonia.prediction.calibration import EDGE, Calibration, fit
from pneumonia.schema.models import DETECTORS


def calibrations(
    predictions: Mapping[str, Predictions], labelled: Labelled, *, method: str, score_floor: float
) -> dict[str, Calibration]:
    """The calibration of each model on these studies, which no training saw.

    Arguments:
        predictions: model -> its predictions, of all studies of `labelled`; others are ignored.
        method: as of `prediction.calibration.fit`.
        score_floor: of `predict`: a detector's lower scores are 0.
    """
    return {
        name: fit(
            labelled.scores(own.scores),
            labelled.targets,
            method=method,
            floor=score_floor if name in DETECTORS else EDGE,
        )
        for name, own in predictions.items()
    }


def calibrated(predictions: Mapping[str, Predictions], own: Mapping[str, Calibration]) -> dict[str, Predictions]:
    """The predictions with the study scores as probabilities, and as they were beside them; boxes stay as they are.

    Raises:
        ValueError: a model has no calibration.
    """
    missing = sorted({*predictions} - {*own})
    if missing:
        raise ValueError(f"no calibration of {', '.join(missing)}, only of {', '.join(sorted(own))}")
    return {name: replace(said, scores=own[name](said.scores), raw=said.scores) for name, said in predictions.items()}
