"""The two ways to write a box, as NumPy arrays `[N, 4]` in pixels; the frame (original or resized) is the caller's."""

from __future__ import annotations

import numpy as np


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """(x, y, width, height) -> (x1, y1, x2, y2): (10, 20, 30, 40) is (10, 20, 40, 60).

    Shape `[N, 4]`, dtype kept; an empty list gives `[0, 4]`.
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """(x1, y1, x2, y2) -> (x, y, width, height): (10, 20, 40, 60) is (10, 20, 30, 40).

    Shape `[N, 4]`, dtype kept; an empty list gives `[0, 4]`.
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
