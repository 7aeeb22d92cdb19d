"""Predict every test study: `python stages/predict_test.py MODEL` writes data/predictions_test/MODEL."""

from __future__ import annotations

import sys
from pathlib import Path

from keraskit.compute import devices
from pneumonia import params
from pneumonia.models.off import is_off
from pneumonia.prediction import inference
from pneumonia.schema.data import TEST_IMAGES
from pneumonia.schema.predictions import TEST_PREDICTIONS
from pneumonia.schema.training import MODELS


def main(name: str) -> None:
    if is_off(Path(MODELS) / name):
        return inference.write_nothing(Path(TEST_PREDICTIONS) / name)
    devices.configure()
    images, out = Path(TEST_IMAGES), Path(TEST_PREDICTIONS) / name
    inference.predict_studies(name, Path(MODELS) / name, images, None, out, **params.load().predict.values())


if __name__ == "__main__":
    main(sys.argv[1])
