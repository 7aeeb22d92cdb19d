"""Average precision of box detections, equal to COCO's reference evaluation (pycocotools), in NumPy.

The steps are those of Lin et al. 2014 (COCO) as pycocotools carries them out: in each image the detections, best
first, each take the free truth box they overlap most; over all images the detections are ranked by score; precision is
made non-increasing in recall and read at 101 recall points. Boxes are `(x1, y1, x2, y2)` or `(y1, x1, y2, x2)`, in any
unit: overlap does not care.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keraskit.boxes import arrays

RECALL_POINTS = np.linspace(0.0, 1.0, 101)
COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())


@dataclass(frozen=True)
class Matches:
    """Every kept detection of a set of images, ranked by falling score.

    Attributes:
        score: float64 `[D]`.
        image: int64 `[D]`, which image it lies in.
        true_positive: bool `[D]`, whether it found a truth box of its own.
        truths: int64 `[images]`, truth boxes of each image.
    """

    score: NDArray[np.float64]
    image: NDArray[np.int64]
    true_positive: NDArray[np.bool_]
    truths: NDArray[np.int64]


def average_precision(
    detections: Sequence[ArrayLike], truths: Sequence[ArrayLike], iou: float = 0.5, max_detections: int = 100
) -> float:
    """Average precision at one overlap threshold, over all images together.

    Arguments:
        detections: one array `[n, 5]` an image, four corners and the score; empty arrays and lists are fine.
        truths: one array `[m, 4]` an image, in the same frame.
        iou: smallest overlap that counts as found.
        max_detections: best-scored detections of an image that are looked at (COCO: 100).

    Returns:
        ap: 0 to 1, or NaN where there is no truth box at all (pycocotools says -1).
    """
    return ranked_average_precision(match(detections, truths, iou, max_detections))


def match(
    detections: Sequence[ArrayLike], truths: Sequence[ArrayLike], iou: float = 0.5, max_detections: int = 100
) -> Matches:
    """Which detections find a truth box, best score first; arguments as in `average_precision`.

    Raises:
        ValueError: the lists differ in length or an array has the wrong number of columns.
    """
    if len(detections) != len(truths):
        raise ValueError(f"one array of truths for each image is wanted, got {len(detections)} and {len(truths)}")
    scores, images, found = [], [], []
    counts = np.zeros(len(truths), np.int64)
    for image, (raw_boxes, raw_truth) in enumerate(zip(detections, truths, strict=True)):
        boxes = _columns(raw_boxes, 5, f"detections[{image}]")
        truth = _columns(raw_truth, 4, f"truths[{image}]")
        counts[image] = len(truth)
        if not len(boxes):
            continue
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")[:max_detections]]
        scores.append(boxes[:, 4])
        images.append(np.full(len(boxes), image))
        if len(truth):
            found.append(match_overlaps(arrays.iou(boxes[:, :4], truth), iou) >= 0)
        else:
            found.append(np.zeros(len(boxes), bool))
    if not scores:
        return Matches(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool), counts)
    score = np.concatenate(scores)
    order = np.argsort(-score, kind="stable")  # ties keep the order of the images, as in pycocotools
    return Matches(score[order], np.concatenate(images)[order], np.concatenate(found)[order], counts)


def match_overlaps(overlaps: NDArray[np.float64], iou: float) -> NDArray[np.int64]:
    """Greedy assignment of one image's detections, best first, to its truth boxes.

    A truth box is taken once, by the first detection that overlaps it most among the free ones; of equal overlaps the
    later truth box is taken, as pycocotools does.

    Arguments:
        overlaps: float64 `[n, m]`, IoU of detection (best score first) and truth box.
        iou: smallest overlap that counts as found.

    Returns:
        taken: int64 `[n]`, the truth box each detection takes, or -1.

    Example: overlaps [[0.6, 0.7], [0.2, 0.9]] at 0.5 give [1, -1]: the first takes box 1, which the second then lacks.
    """
    threshold = min(iou, 1.0 - 1e-10)  # so that identical boxes still match at iou = 1
    taken: list[int] = []
    free = set(range(overlaps.shape[1]))
    for row in overlaps.tolist():
        best, chosen = threshold, -1
        for truth in sorted(free):
            if row[truth] >= best:
                best, chosen = row[truth], truth
        free.discard(chosen)
        taken.append(chosen)
    return np.asarray(taken, np.int64)


def ranked_average_precision(matches: Matches, weights: NDArray[np.float64] | None = None) -> float:
    """Average precision of ranked detections; `weights` `[images]` counts an image that often (for the bootstrap)."""
    if weights is None:
        weights = np.ones(len(matches.truths))
    total = float(weights @ matches.truths)
    if total <= 0:
        return float("nan")
    if not len(matches.score):
        return 0.0
    each = weights[matches.image]
    seen = np.cumsum(each)
    hits = np.cumsum(each * matches.true_positive)
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(hits / total, RECALL_POINTS, side="left")
    return float(np.where(at < len(precision), precision[np.minimum(at, len(precision) - 1)], 0.0).mean())


def _columns(values: ArrayLike, columns: int, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return np.zeros((0, columns))
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} must be [n, {columns}], got {list(array.shape)}")
    return array
