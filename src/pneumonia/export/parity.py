"""Does an exported model say what the trained one says? Scores, boxes and activation maps of the same images, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORE, BOX = (
    1e-4,
    0.1,
)  # largest differences that are let pass: of scores; of coordinates, in pixels of the model's image
MAP = 1e-3  # of activation maps, as a share of the largest value
# Detections of both that may have no counterpart, as a share. Two boxes whose overlap is the suppression's threshold but for
# rounding are one box here and two there; of a model that learned nothing yet there are many such.
ALONE = 0.02


def compare(
    name: str, trained: Any, exported: Any, images: NDArray[np.uint8], options: Mapping[str, Any]
) -> dict[str, float]:
    """The largest differences between two models' answers.

    Arguments:
        name: of the model, for the error.
        trained, exported: both with `predict`, or both with `detect`.
        images: uint8 `[B, S, S]`, one or more.
        options: of `detect`; empty for a classifier.

    Returns:
        `scores`, and `map` (share of the largest value) or `boxes` (pixels) and `alone` (share without a counterpart).

    Raises:
        ValueError: they differ by more than `SCORE`, `BOX`, `MAP` or `ALONE`.
    """
    if not options:
        (own, own_maps), (other, other_maps) = trained.predict(images), exported.predict(images)
        largest = max(float(np.abs(own_maps).max()), 1e-12)
        found = {"scores": _most(own - other), "map": _most(own_maps - other_maps) / largest}
    else:
        pairs = zip(trained.detect(images, **options), exported.detect(images, **options), strict=True)
        found, alone, total = {"scores": 0.0, "boxes": 0.0}, 0, 0
        for one, two in pairs:
            more, apart = matched(one, two, options["score_floor"], options["max_detections"])
            alone, total = alone + more, total + len(one) + len(two)
            found = {key: max(value, apart[key]) for key, value in found.items()}
        found["alone"] = alone / max(total, 1)
        if found["alone"] > ALONE:
            raise ValueError(
                f"{name}: the exported model does not say what the trained one says: "
                f"{alone} of {total} detections of both have no counterpart"
            )
    limits = {"scores": SCORE, "boxes": BOX, "map": MAP, "alone": ALONE}
    for key, value in found.items():
        if not value <= limits[key]:
            raise ValueError(
                f"{name}: the exported model does not say what the trained one says: {key} differ by {value:.3g}, "
                f"let pass is {limits[key]:g}"
            )
    return found


def matched(
    one: NDArray[np.float32], two: NDArray[np.float32], floor: float, most: int
) -> tuple[int, dict[str, float]]:
    """How many detections of two answers to one image have no counterpart, and how far the others are apart.

    A detection whose score is as near to the floor as scores may differ, or to that of the last one that there is room
    for, may be in one answer alone: it has no counterpart, and is not counted.

    Arguments:
        one, two: `[n, 5]` and `[m, 5]`: x1, y1, x2, y2, score; best first.
        floor: score below which detections are dropped.
        most: detections of an image.
    """
    apart, left, alone = {"scores": 0.0, "boxes": 0.0}, list(range(len(two))), []
    for row in one:
        distances = [_distance(row, two[k]) for k in left]
        if not distances or min(distances) > 1:
            alone.append(row)
            continue
        other = two[left.pop(int(np.argmin(distances)))]
        apart["boxes"] = max(apart["boxes"], _most(row[:4] - other[:4]))
        apart["scores"] = max(apart["scores"], _most(row[4:] - other[4:]))
    alone += [two[k] for k in left]
    edges = [floor, *(float(rows[-1, 4]) for rows in (one, two) if len(rows) == most)]
    return sum(not _near(row[4], edges) for row in alone), apart


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Above 1: not the same detection."""
    limits = np.array([*[BOX] * 4, SCORE])
    return _most(np.nan_to_num((one - other) / limits, nan=np.inf))


def _near(score: float, edges: Sequence[float]) -> bool:
    return any(abs(score - edge) <= SCORE for edge in edges)


def _most(differences: NDArray[np.floating[Any]]) -> float:
    """The largest absolute value; NaN of NaN, so that no comparison lets it pass."""
    return float(np.abs(differences).max()) if differences.size else 0.0
