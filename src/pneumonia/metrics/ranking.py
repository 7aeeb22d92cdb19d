"""Average precision and FROC of boxes under any weighting of the studies: what a bootstrap of them needs.

With all weights 1 the average precision is COCO's (Lin et al. 2014), as `keraskit.average_precision` and pycocotools
compute it; with bootstrap weights it is that of the resample. The detections stay ranked as they are and each counts as
often as its study. Both measures need the running sums only where a truth box is found (and, for FROC, where a group
of equal scores ends): between two such places recall stands still while precision falls and false boxes grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keraskit.average_precision import COCO_IOUS, RECALL_POINTS
from pneumonia.metrics.matching import BOX_IOU, BoxTable, assigned

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
MAX_DETECTIONS = 100  # best detections of a study that count, as in COCO


@dataclass(frozen=True)
class Ranked:
    """Detections of all studies by falling score, and which of them find a truth box at each of K overlaps.

    score: float `[D]`; study: int `[D]`; hits: bool `[K, D]`; truths: int `[N]`, truth boxes of each study.
    Detections of equal score keep their order, as in pycocotools.
    """

    score: Array
    study: Integers
    hits: NDArray[np.bool_]
    truths: Integers

    def __post_init__(self) -> None:
        order = np.argsort(-self.score, kind="stable")
        for name in ("score", "study", "hits"):
            object.__setattr__(self, name, getattr(self, name)[..., order])


class BoxRanking:
    """Average precision at every overlap of every one of `parts`, and FROC of the first part's first overlap.

    parts: of the same N studies; L is the sum of their overlaps. rates: R numbers of false boxes a study.
    """

    def __init__(self, parts: Sequence[Ranked], rates: Sequence[float] = ()) -> None:
        self.rates = np.asarray(rates, np.float64)
        self._truths = np.stack([part.truths for part in parts]).astype(np.float64)  # (P, N)
        # Everything stands one after the other, part by part and overlap by overlap: one pass over it under each
        # weighting costs less than a short pass for each.
        seen, steps, starts, rows, studies, levels = [], [], [0], [], [], []
        part_of: list[int] = []
        before = 0
        for number, part in enumerate(parts):
            level, place = np.nonzero(part.hits)
            marks = np.union1d(place, _ends(part.score, place)) if number == 0 else np.unique(place)
            # Step k goes from the detection after mark k - 1 up to and with mark k.
            steps.append(before + np.r_[0, marks + 1][:-1])
            seen.append(part.study[: marks[-1] + 1] if len(marks) else part.study[:0])
            before += len(seen[-1])
            rows.append(starts[-1] + np.searchsorted(marks, place))
            starts.append(starts[-1] + len(marks))
            studies.append(part.study[place])
            levels.append(len(part_of) + level)
            part_of += [number] * len(part.hits)
            if number == 0:
                first = place[level == 0]
                ends = _ends(part.score, first)
                self._froc_rows = np.searchsorted(marks, ends)
                self._froc_hits = np.searchsorted(first, ends, "right") - 1  # the last hit of that group of scores
        self._seen, self._steps = np.concatenate(seen), np.concatenate(steps)
        self._row, self._study, self._level = (np.concatenate(lists) for lists in (rows, studies, levels))
        self._part_of = np.array(part_of)  # (L,)
        self._part = self._part_of[self._level]
        self._part_starts = np.array(starts[:-1])
        self._lift = 2.0 * (len(part_of) - 1 - self._level)
        self._bounds = np.searchsorted(self._level, np.arange(len(part_of) + 1))

    def measure(self, weights: Array) -> Array:
        """weights `[N]` or `[B, N]`, whole numbers -> `[L + R]` or `[B, L + R]`.

        The average precision of each of the L overlaps, then the largest sensitivity with at most each of the R `rates`
        of false boxes a study; NaN where no truth box has weight.
        """
        if weights.ndim == 1:
            return self._one(weights)
        # One resample after the other: a ranking fits the processor's cache, a hundred of them do not.
        return np.array([self._one(row) for row in weights]).reshape(len(weights), -1)

    def _one(self, weights: Array) -> Array:
        levels = len(self._part_of)
        result = np.zeros(levels + len(self.rates))
        total = (self._truths @ weights).astype(np.int64)  # (P,)
        if len(self._study):
            # Whole numbers: their running sums and maxima take a quarter of the time that floats take.
            whole = weights.astype(np.int64)
            seen = np.add.reduceat(whole.take(self._seen), self._steps).cumsum()
            found = whole.take(self._study).cumsum()
            seen_before, found_before = _before(seen, self._part_starts), _before(found, self._bounds[:-1])
            at_hit = seen.take(self._row) - seen_before.take(self._part)
            result[:levels] = self._precision(found, found_before, at_hit, total)
            reached = found.take(self._froc_hits)
            if len(reached):
                false = seen.take(self._froc_rows) - reached
                within = false.searchsorted(self.rates * weights.sum(), side="right")
                result[levels:] = np.where(within > 0, reached.take(within - 1), 0.0) / max(total[0], 1)
        result[:levels][total.take(self._part_of) == 0] = np.nan
        result[levels:][total[0] == 0] = np.nan
        return result

    def _precision(self, found: Integers, before: Integers, seen: Integers, total: Integers) -> Array:
        """COCO's average precision `[L]` from the running weight of the hits and of all detections, at each hit.

        found runs through all overlaps; `before` `[L]` is what it had reached when each began.
        """
        # The best precision from here on, within an overlap: lifted more the earlier the overlap, so that the best of
        # a later one never reaches into it. Positive floats have the order of their bits, which are whole numbers.
        lifted = (found - before.take(self._level)) / np.maximum(seen, 1) + self._lift
        best = np.maximum.accumulate(lifted.view(np.int64)[::-1])[::-1].view(np.float64)
        # How many must be found to reach a recall point, compared as pycocotools compares: found / total >= point.
        some = np.maximum(total, 1)[:, None]
        needed = np.floor(RECALL_POINTS * some)  # (P, 101)
        needed += needed / some < RECALL_POINTS
        at = found.searchsorted(needed.astype(np.int64).take(self._part_of, axis=0) + before[:, None])  # (L, 101)
        at = np.maximum(at, self._bounds[:-1, None])
        lift = 2.0 * np.arange(len(before))[::-1, None]
        return np.where(at < self._bounds[1:, None], best.take(at, mode="clip") - lift, 0.0).mean(axis=1)


def _ends(score: Array, place: Integers) -> Integers:
    """Where the group of equal scores that each place is in ends; `score` falls."""
    last = np.flatnonzero(np.r_[score[1:] != score[:-1], True]) if len(score) else np.zeros(0, np.int64)
    return last[np.searchsorted(last, place)]


def _before(running: Integers, starts: Integers) -> Integers:
    """The running sum just before each of `starts`."""
    if not len(running):
        return np.zeros(len(starts), np.int64)
    return np.where(starts > 0, running.take(starts - 1, mode="clip"), 0)


def coco_ranked(table: BoxTable) -> Ranked:
    """The ranking at COCO's overlaps 0.50, 0.55 ... 0.95."""
    table = table.top(MAX_DETECTIONS)
    return Ranked(table.score, table.study, assigned(table, COCO_IOUS, strict=False) >= 0, table.truths)


def size_ranked(table: BoxTable, low: float, high: float) -> Ranked:
    """The ranking at overlap 0.5 against the truth boxes of `low` <= area < `high`, as COCO's AP by area.

    Other truth boxes are neither to be found nor false when found: a detection that takes one is left out, and so is
    one that takes none and lies outside the range itself. low, high: pixels of the original image, squared.
    """
    table = table.top(MAX_DETECTIONS)
    wanted = (table.truth_area >= low) & (table.truth_area < high)
    place = assigned(table, [BOX_IOU], strict=False, wanted=wanted)[0]
    hit = (place >= 0) & wanted[table.study, place] if place.size and wanted.size else np.zeros(len(place), bool)
    keep = hit | ((place < 0) & (table.area >= low) & (table.area < high))
    return Ranked(table.score[keep], table.study[keep], hit[None, keep], wanted.sum(axis=1))
