"""A head of two anchors, and truths assigned to it: for the tests of decoding, assignment and losses."""

from __future__ import annotations

import numpy as np

from yolov3.cfg import Convolutional, Description, Yolo
from yolov3.decode import places
from yolov3.targets import assign


def described(*anchors: tuple[float, float]) -> Description:
    """One head of two anchors and one class; at 64 pixels and 2 x 2 cells the stride is 32."""
    return Description(64, 64, 3, (Convolutional(12, 1), Yolo((0, 1), anchors, 1)))


APART = described((10, 20), (30, 40))
ALIKE = described((10, 20), (12, 20))
NOTHING = np.zeros((1, 8, 4), np.float32)  # predictions that overlap nothing


def assigned(truths, description=APART, predicted=NOTHING, ignore=0.5, also_above=1.0):
    where = places(description, [(2, 2)], [32.0])
    truths = np.asarray([truths], np.float32)
    return assign(truths, np.zeros(truths.shape[:2], np.int32), predicted, where, ignore, also_above)
