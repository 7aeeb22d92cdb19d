"""Calibrations of several models: each with its own floor, fitted on the studies that are given, boxes left alone."""

import numpy as np
import pandas as pd
import pytest

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.calibrate import calibrated, calibrations
from pneumonia.evaluation.inputs import Predictions
from pneumonia.prediction.calibration import NONE, Calibration, fit

COUNT = 60
IDS = [f"s{i:02d}" for i in range(COUNT)]
TARGETS = (np.arange(COUNT) % 2).astype(int)
SCORES = pd.Series(np.clip(0.2 + 0.4 * TARGETS + 0.005 * np.arange(COUNT), 0, 1), index=IDS)
BOXES = pd.DataFrame(columns=["study", "x", "y", "width", "height", "score"])
LABELLED = Labelled(pd.DataFrame({"study": IDS, "person": IDS, "target": TARGETS, "view": "AP"}), BOXES)


def test_each_model_has_its_own_map_and_a_detector_its_floor():
    low = SCORES.where(SCORES > 0.3, 0.0)
    found = calibrations(
        {"classifier": Predictions(SCORES), "yolo": Predictions(low, BOXES), "ensemble": Predictions(SCORES, BOXES)},
        LABELLED,
        method="platt",
        score_floor=0.05,
    )
    assert {name: own.floor for name, own in found.items()} == {"classifier": 1e-6, "yolo": 0.05, "ensemble": 1e-6}
    assert found["classifier"] == found["ensemble"] == fit(SCORES, TARGETS, method="platt")


def test_only_the_given_studies_are_looked_at():
    first = LABELLED.part(np.arange(COUNT) < 40)
    more = pd.Series([1.0, 0.0], index=["holdout1", "holdout2"])
    arguments = {"method": "platt", "score_floor": 0.01}
    assert calibrations({"yolo": Predictions(pd.concat([SCORES, more]), BOXES)}, first, **arguments) == calibrations(
        {"yolo": Predictions(SCORES.iloc[:40], BOXES)}, first, **arguments
    )


def test_scores_change_and_boxes_do_not():
    said = calibrated({"yolo": Predictions(SCORES, BOXES)}, {"yolo": Calibration(method="platt", slope=0.0)})["yolo"]
    assert said.scores.tolist() == [0.5] * COUNT
    assert said.raw is SCORES
    assert said.detections is BOXES


def test_a_model_without_a_calibration_is_named():
    with pytest.raises(ValueError, match="no calibration of yolo, only of classifier"):
        calibrated({"yolo": Predictions(SCORES)}, {"classifier": NONE})
