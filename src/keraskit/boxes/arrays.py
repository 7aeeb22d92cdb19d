"""Boxes as NumPy arrays: two ways to write one, area, overlap, clipping, greedy suppression.

A box is two opposite corners, `(x1, y1, x2, y2)` or `(y1, x1, y2, x2)`, low corner first; only the conversions from and
to `(x, y, width, height)` care which axis comes first, and none cares for the unit: the frame is the caller's.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Number = TypeVar("Number", bound=np.number[Any])
OVERLAPS = 2**20  # overlaps that suppression holds at a time: 8 MiB


def xywh_to_xyxy(boxes: ArrayLike) -> NDArray[Any]:
    """(x, y, width, height) -> (x1, y1, x2, y2): (10, 20, 30, 40) is (10, 20, 40, 60).

    Shape `[N, 4]`, dtype kept; an empty list gives `[0, 4]`.
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: ArrayLike) -> NDArray[Any]:
    """(x1, y1, x2, y2) -> (x, y, width, height): (10, 20, 40, 60) is (10, 20, 30, 40).

    Shape `[N, 4]`, dtype kept; an empty list gives `[0, 4]`.
    """
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def area(boxes: NDArray[Number]) -> NDArray[Number]:
    """Areas `[...]` of `boxes` `[..., 4]`, dtype kept, in squared units; 0 where the corners are out of order, NaN of NaN."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    result: NDArray[Number] = sides[..., 0] * sides[..., 1]
    return result


def clip(boxes: ArrayLike, window: ArrayLike) -> NDArray[Any]:
    """Move the corners of `boxes` `[..., 4]` into `window` `[4]` or `[..., 4]`, of the same frame and order of axes.

    A box wholly outside collapses to zero area on the border.
    """
    window = np.asarray(window)
    low, high = window[..., :2], window[..., 2:]
    return np.clip(boxes, np.concatenate([low, low], axis=-1), np.concatenate([high, high], axis=-1))


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of every box of `a` with every box of `b`.

    Example: (0, 0, 10, 10) and (5, 5, 15, 15) share 25 of 100 + 100 - 25: 1/7.

    Arguments:
        a: `[..., N, 4]`.
        b: `[..., M, 4]`, leading dimensions that broadcast with those of `a`, the same frame.

    Returns:
        overlaps: float64 `[..., N, M]` from 0 to 1. An empty box overlaps nothing, nor does one of NaN: it may pad.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    u, v = a[..., :, None, :], b[..., None, :, :]
    # One coordinate at a time keeps the inner loop contiguous, as in `keraskit.boxes.tensors`.
    first = np.maximum(np.minimum(u[..., 2], v[..., 2]) - np.maximum(u[..., 0], v[..., 0]), 0.0)
    second = np.maximum(np.minimum(u[..., 3], v[..., 3]) - np.maximum(u[..., 1], v[..., 1]), 0.0)
    shared: NDArray[np.float64] = first * second
    union = area(a)[..., :, None] + area(b)[..., None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def non_max_suppression(
    boxes: ArrayLike, scores: ArrayLike, iou_threshold: float, groups: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Which boxes greedy non-maximum suppression keeps, in one image or within each of many groups at once.

    All groups are stepped through together, one box of each at a time, so that thousands of studies cost one NumPy
    step a rank.

    Arguments:
        boxes: `[D, 4]`.
        scores: `[D]`. Equal scores: the lower index goes first.
        iou_threshold: a box whose IoU with a kept better box of its group is *above* it is dropped.
        groups: integers `[D]` (the study of each box, say); None: all are of one.

    Returns:
        kept: int64 `[K]` into D, by group, then falling score.
    """
    boxes, scores = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float64)
    number = np.zeros(len(boxes), np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.lexsort((-scores, number))
    number = number[order]
    rank = ranks(number)
    padded = np.full((int(number.max(initial=-1)) + 1, int(rank.max(initial=-1)) + 1, 4), np.nan)
    padded[number, rank] = boxes[order]
    keep = np.ones(padded.shape[:2], bool)
    step = max(1, OVERLAPS // max(1, keep.shape[1]) ** 2)
    for start in range(0, len(keep), step):
        part, stays = padded[start : start + step], keep[start : start + step]
        suppresses = iou(part, part) > iou_threshold  # (S, R, R)
        for now in range(1, keep.shape[1]):
            stays[:, now] = ~(suppresses[:, now, :now] & stays[:, :now]).any(axis=1)
    return order[keep[number, rank]]


def ranks(groups: NDArray[Any]) -> NDArray[np.int64]:
    """Place of each row within its group, `[D]` from 0: [3, 3, 7] gives [0, 1, 0]. `groups` `[D]` must be sorted."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups, side="left")
