"""Predict every study outside training: `python stages/predict.py MODEL` writes data/predictions/MODEL."""

from __future__ import annotations

import sys
from pathlib import Path

from keraskit.compute import devices
from pneumonia import params
from pneumonia.files import read_csv
from pneumonia.prediction import inference


def main(name: str) -> None:
    devices.configure()
    split = read_csv("data/split/split.csv", {"study": "str", "subset": "str"})
    studies = list(split["study"][split["subset"] != "train"])
    images, out = Path("data/images"), Path("data/predictions") / name
    inference.predict_studies(name, Path("models") / name, images, studies, out, **params.load().predict.values())


if __name__ == "__main__":
    main(sys.argv[1])
