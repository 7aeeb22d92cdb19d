"""A drawn chest as a file, and models that find what was drawn, with two boxes that they are less sure of."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pneumonia.reading_room.ensemble import Study
from pneumonia.sources.synthetic.cohort import sample_cohort
from pneumonia.sources.synthetic.dicom_writer import encode_study
from pneumonia.sources.synthetic.phantom import draw_study

SIZE = 512
NAME = "Roe^Richard"
SCORES = (0.82, 0.41, 0.18)  # of the boxes; two reach the stand-in's operating point, 0.25
SCORE = 0.731  # of the image


def phantom() -> tuple[bytes, list[list[float]]]:
    """A DICOM file of Richard Roe, and the boxes of what is drawn on it."""
    case = next(each for each in sample_cohort(40, 7, "labelled") if each.spec.opacities == 1)
    drawn = draw_study(np.random.default_rng(3), case.spec, SIZE)
    file = encode_study(case, drawn.pixels, "jpeg")
    return file.replace(case.study.encode(), NAME.ljust(len(case.study)).encode()), drawn.boxes.tolist()


class Finder:
    """Models that find the same boxes on every image."""

    def __init__(self, drawn: list[list[float]]) -> None:
        self._boxes = [*drawn[:1], [300.0, 250.5, 90.0, 120.0], [60.0, 330.0, 70.0, 60.25]]
        self.seconds = 0.0

    def __call__(self, studies: Mapping[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
        time.sleep(self.seconds)
        rows = [[study, *box, score] for study in studies for box, score in zip(self._boxes, SCORES, strict=True)]
        found = pd.DataFrame(rows, columns=["study", "x", "y", "width", "height", "score"])
        return found, pd.Series(SCORE, index=list(studies))
