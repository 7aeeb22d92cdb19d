"""Predict every test study: `python stages/predict_test.py MODEL` writes data/predictions_test/MODEL."""

from __future__ import annotations

import sys
from pathlib import Path

from keraskit.compute import devices
from pneumonia import params
from pneumonia.prediction import inference


def main(name: str) -> None:
    devices.configure()
    images, out = Path("data/images_test"), Path("data/predictions_test") / name
    inference.predict_studies(name, Path("models") / name, images, None, out, **params.load().predict.values())


if __name__ == "__main__":
    main(sys.argv[1])
