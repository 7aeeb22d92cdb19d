"""FROC on hand-worked cases."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pneumonia.metrics.froc import froc
from pneumonia.metrics.matching import box_table

BOX = ["study", "x", "y", "width", "height"]


def table():
    truth = pd.DataFrame([("a", 0, 0, 10, 10), ("b", 0, 0, 10, 10)], columns=BOX)
    detections = pd.DataFrame(
        [("a", 0, 0, 10, 10, 0.9), ("a", 50, 50, 9, 9, 0.8), ("b", 0, 0, 10, 9, 0.5), ("d", 0, 0, 9, 9, 0.5)],
        columns=[*BOX, "score"],
    )
    return box_table(["a", "b", "c", "d"], detections, truth)


def test_curve():
    false, sensitivity = froc(table())
    # 0.9 finds a; 0.8 is false (1 / 4 studies); at 0.5 one more is found and one more false.
    assert false.tolist() == [0, 0, 0.25, 0.5]
    assert sensitivity.tolist() == [0, 0.5, 0.5, 1]


def test_empty():
    empty = pd.DataFrame(columns=[*BOX, "score"])
    false, sensitivity = froc(box_table(["a"], empty, pd.DataFrame([("a", 0, 0, 9, 9)], columns=BOX)))
    assert (false.tolist(), sensitivity.tolist()) == ([0.0], [0.0])
    assert np.isnan(froc(box_table(["a"], empty, pd.DataFrame(columns=BOX)))[1]).all()
