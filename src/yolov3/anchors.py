"""Anchors from a data set's own boxes: k-means where near means alike in shape.

Redmon and Farhadi 2017, "YOLO9000", section 2: distance 1 - IoU of two boxes laid on one corner, so that large
boxes do not outweigh small ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESTARTS = 20
ROUNDS = 100


def shape_iou(sizes: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of boxes laid on one corner: `[N, 2]` widths and heights against `[K, 2]` -> `[N, K]`."""
    shared = np.minimum(sizes[:, None], anchors[None]).prod(axis=-1)
    return shared / (sizes.prod(axis=-1)[:, None] + anchors.prod(axis=-1)[None] - shared)


def mean_iou(sizes: ArrayLike, anchors: ArrayLike) -> float:
    """Mean over boxes `[N, 2]` of the IoU with the most similar of `anchors` `[K, 2]`: 1 if every box has its own."""
    return float(shape_iou(np.asarray(sizes, np.float64), np.asarray(anchors, np.float64)).max(axis=1).mean())


def kmeans(sizes: ArrayLike, count: int, seed: int) -> NDArray[np.float64]:
    """Find `count` anchors for boxes of these sizes.

    Fewer distinct sizes than `count` are completed by their own sizes scaled up and down by steps of 1.25, so that a
    handful of boxes still gives usable anchors.

    Arguments:
        sizes: `[N, 2]` widths and heights in pixels, all positive.
        count: number of anchors.
        seed: of the starts; the best of `RESTARTS` counts.

    Returns:
        `[count, 2]` by area from small to large.

    Raises:
        ValueError: there is no box.
    """
    boxes = np.asarray(sizes, np.float64).reshape(-1, 2)
    if not len(boxes) or not (boxes > 0).all():
        raise ValueError(f"k-means wants boxes of positive width and height, got {len(boxes)} boxes; use anchors: coco")
    distinct = np.unique(boxes, axis=0)
    if len(distinct) < count:
        return _sorted(_completed(distinct, count))

    rng = np.random.default_rng(seed)
    best, best_iou = distinct[:count], -1.0
    for _ in range(RESTARTS):
        anchors = _lloyd(boxes, distinct[_spread(distinct, count, rng)])
        iou = mean_iou(boxes, anchors)
        if iou > best_iou + 1e-12:
            best, best_iou = anchors, iou
    return _sorted(best)


def _spread(distinct: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[int]:
    """First centres far from each other (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(distinct)))]
    while len(chosen) < count:
        distance = (1 - shape_iou(distinct, distinct[chosen]).max(axis=1)) ** 2
        distance[chosen] = 0.0
        chosen.append(int(rng.choice(len(distinct), p=distance / distance.sum())))
    return chosen


def _lloyd(boxes: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    anchors = anchors.copy()
    previous = None
    for _ in range(ROUNDS):
        nearest = shape_iou(boxes, anchors).argmax(axis=1)
        if previous is not None and (nearest == previous).all():
            break
        for index in range(len(anchors)):
            if (nearest == index).any():  # an anchor that lost all its boxes stays where it is
                anchors[index] = boxes[nearest == index].mean(axis=0)
        previous = nearest
    return anchors


def _completed(distinct: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    anchors = distinct
    step = 1
    while len(anchors) < count:
        anchors = np.concatenate([anchors, distinct / 1.25**step, distinct * 1.25**step])
        step += 1
    return anchors[:count]


def _sorted(anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    return anchors[np.lexsort((anchors[:, 0], anchors.prod(axis=1)))]
