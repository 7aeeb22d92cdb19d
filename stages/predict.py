"""Predict every study outside training: `python stages/predict.py MODEL` writes data/predictions/MODEL."""

from __future__ import annotations

import sys
from pathlib import Path

from keraskit.compute import devices
from pneumonia import params
from pneumonia.models.off import is_off
from pneumonia.prediction import inference
from pneumonia.schema.data import IMAGES, SPLIT
from pneumonia.schema.predictions import PREDICTIONS
from pneumonia.schema.training import MODELS


def main(name: str) -> None:
    if is_off(Path(MODELS) / name):
        return inference.write_nothing(Path(PREDICTIONS) / name)
    devices.configure()
    split = SPLIT.read(columns=("study", "subset"))
    studies = list(split["study"][split["subset"] != "train"])
    images, out = Path(IMAGES), Path(PREDICTIONS) / name
    inference.predict_studies(name, Path(MODELS) / name, images, studies, out, **params.load().predict.values())


if __name__ == "__main__":
    main(sys.argv[1])
