"""Average precision and FROC of boxes under any weighting of the studies: what a bootstrap of them needs.

With all weights 1 the average precision is COCO's (Lin et al. 2014), as `detection.average_precision` and pycocotools
compute it; with bootstrap weights it is that of the resample. The detections stay ranked as they are and each counts as
often as its study. Both measures need the running sums only where a truth box is found (and, for FROC, where a group
of equal scores ends): between two such places recall stands still while precision falls and false boxes grow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detection.average_precision import COCO_IOUS, RECALL_POINTS
from pneumonia.metrics.froc import RATES
from pneumonia.metrics.matching import BOX_IOU, BoxTable, assigned

Array = NDArray[np.float64]
MAX_DETECTIONS = 100  # best detections of a study that count, as in COCO


class BoxRanking:
    """Detections of all studies by falling score, and which of them find a truth box at each of K overlaps.

    score: float `[D]`; study: int `[D]`; hits: bool `[K, D]`, the first row that of FROC; truths: int `[N]`, truth
    boxes of each study. Detections of equal score keep their order, as in pycocotools.
    """

    def __init__(
        self,
        score: Array,
        study: NDArray[np.int64],
        hits: NDArray[np.bool_],
        truths: NDArray[np.int64],
        rates: Sequence[float] = (),
    ) -> None:
        from scipy.sparse import csr_array

        order = np.argsort(-score, kind="stable")
        score, study, hits = score[order], study[order], hits[:, order]
        self.truths = truths.astype(np.float64)
        self.rates = np.asarray(rates, np.float64)
        places = [np.flatnonzero(row) for row in hits]
        last = np.flatnonzero(np.r_[score[1:] != score[:-1], True]) if len(score) else np.zeros(0, np.int64)
        ends = last[np.searchsorted(last, places[0])]  # of each hit: where its group of equal scores ends
        marks = np.unique(np.concatenate([*places, ends]))
        count = int(marks[-1]) + 1 if len(marks) else 0
        # Row k sums the weights of the detections after mark k - 1, up to and with mark k.
        self._steps = csr_array((np.ones(count), study[:count], np.r_[0, marks + 1]), shape=(len(marks), len(truths)))
        self._hits = [(np.searchsorted(marks, place), study[place]) for place in places]
        self._ends = np.searchsorted(marks, ends)
        self._until = np.searchsorted(places[0], ends, "right") - 1  # the last hit of that group

    def average_precision(self, weights: Array) -> Array:
        """weights `[N]` or `[B, N]` -> `[K]` or `[B, K]`; NaN where no truth box has weight."""
        return self.measure(weights)[..., : len(self._hits)]

    def measure(self, weights: Array) -> Array:
        """weights `[N]` or `[B, N]` -> `[K + R]` or `[B, K + R]`.

        The average precision at each of the K overlaps, then the largest sensitivity with at most each of the R `rates`
        of false boxes a study; NaN where no truth box has weight.
        """
        if weights.ndim == 1:
            return self._one(weights)
        # One resample after the other: a ranking fits the processor's cache, a hundred of them do not.
        return np.array([self._one(row) for row in weights]).reshape(len(weights), -1)

    def _one(self, weights: Array) -> Array:
        total = float(weights @ self.truths)
        if total <= 0:
            return np.full(len(self._hits) + len(self.rates), np.nan)
        seen = np.cumsum(self._steps @ weights)
        found = [np.cumsum(weights[studies]) for _, studies in self._hits]
        levels = [_precision(hit, seen[rows], total) for hit, (rows, _) in zip(found, self._hits, strict=True)]
        reached = np.r_[0.0, found[0][self._until]]
        false = np.r_[0.0, seen[self._ends] - found[0][self._until]]
        at = np.searchsorted(false, self.rates * weights.sum(), side="right") - 1
        return np.r_[levels, reached[at] / total]


def _precision(found: Array, seen: Array, total: float) -> float:
    """COCO's average precision from the running weight of the hits and of all detections, at each hit."""
    if not len(found):
        return 0.0
    precision = found / np.maximum(seen, 1e-12)  # nothing seen, nothing found: 0
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(found / total, RECALL_POINTS, side="left")
    return float(best[at[at < len(best)]].sum()) / len(RECALL_POINTS)


def coco_ranking(table: BoxTable, rates: Sequence[float] = RATES) -> BoxRanking:
    """The ranking at COCO's overlaps 0.50, 0.55 ... 0.95."""
    table = table.top(MAX_DETECTIONS)
    return BoxRanking(table.score, table.study, assigned(table, COCO_IOUS, strict=False) >= 0, table.truths, rates)


def size_ranking(table: BoxTable, low: float, high: float) -> BoxRanking:
    """The ranking at overlap 0.5 against the truth boxes of `low` <= area < `high`, as COCO's AP by area.

    Other truth boxes are neither to be found nor false when found: a detection that takes one is left out, and so is
    one that takes none and lies outside the range itself. low, high: pixels of the original image, squared.
    """
    table = table.top(MAX_DETECTIONS)
    wanted = (table.truth_area >= low) & (table.truth_area < high)
    place = assigned(table, [BOX_IOU], strict=False, wanted=wanted)[0]
    hit = (place >= 0) & wanted[table.study, place] if place.size and wanted.size else np.zeros(len(place), bool)
    keep = hit | ((place < 0) & (table.area >= low) & (table.area < high))
    return BoxRanking(table.score[keep], table.study[keep], hit[None, keep], wanted.sum(axis=1))
