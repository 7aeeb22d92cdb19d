"""Which detections find which truth boxes, for thousands of studies at once.

All studies are stepped through together, one detection of each at a time in order of falling score, so that matching
costs one NumPy step per rank (at most twenty or so), not one per study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keraskit.average_precision import Matches
from keraskit.boxes import arrays
from pneumonia.schema.table import BOX

BOX_IOU = 0.5  # the overlap at which a box counts as found in AP, FROC and box sensitivity


@dataclass(frozen=True)
class BoxTable:
    """The detections and truth boxes of `studies`, ready to match. Detections are sorted by study, then falling score.

    Attributes:
        studies: the N study ids; `study` below counts into them.
        study: int64 `[D]`.
        rank: int64 `[D]`, 0 for the best detection of its study.
        score: float64 `[D]`.
        area: float64 `[D]`, pixels of the original image, squared.
        truths: int64 `[N]`, truth boxes of each study.
        overlaps: float64 `[D, M]`, IoU with each truth box of the study; -1 where it has fewer than M.
        truth_boxes: float64 `[N, M, 4]`, x1, y1, x2, y2 in pixels of the original image; NaN where a study has fewer
            than M.
    """

    studies: tuple[str, ...]
    study: NDArray[np.int64]
    rank: NDArray[np.int64]
    score: NDArray[np.float64]
    area: NDArray[np.float64]
    truths: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    truth_boxes: NDArray[np.float64]

    @property
    def truth_area(self) -> NDArray[np.float64]:
        """float64 `[N, M]`, pixels of the original image, squared; NaN where the study has fewer than M boxes."""
        return arrays.area(self.truth_boxes)

    def top(self, limit: int) -> BoxTable:
        """Only the `limit` best detections of each study."""
        keep = self.rank < limit
        if keep.all():
            return self
        rows = {name: getattr(self, name)[keep] for name in ("study", "rank", "score", "area", "overlaps")}
        return replace(self, **rows)

    def highest(self) -> NDArray[np.float64]:
        """float64 `[N]`: the score of each study's best detection, 0 without one."""
        result = np.zeros(len(self.studies))
        best = self.rank == 0
        result[self.study[best]] = self.score[best]
        return result

    def reaches(self, threshold: float | NDArray[np.float64]) -> NDArray[np.bool_]:
        """bool `[D]`: whether a detection has a score of at least `threshold`, one for all or one a study, `[N]`."""
        return self.score >= np.broadcast_to(threshold, len(self.studies))[self.study]

    def count(self, threshold: float | NDArray[np.float64]) -> NDArray[np.int64]:
        """int64 `[N]`: detections of each study that reach `threshold`, as `reaches` has it."""
        return np.bincount(self.study[self.reaches(threshold)], minlength=len(self.studies)).astype(np.int64)


def box_table(studies: Sequence[str], detections: pd.DataFrame, boxes: pd.DataFrame) -> BoxTable:
    """Detections and truth of `studies`, ready to match.

    Arguments:
        studies: ids, without repeats; rows of other studies are ignored.
        detections: columns study, x, y, width, height, score (pixels of the original image).
        boxes: truth, columns study, x, y, width, height.

    Raises:
        ValueError: a study comes twice.
    """
    if len(set(studies)) != len(studies):
        raise ValueError(f"every study is wanted once, got {len(studies) - len(set(studies))} repeats")
    number = pd.Index(list(studies), dtype=object)
    study, corners, score = _rows(number, detections, scored=True)
    truth_study, truth_corners, _ = _rows(number, boxes, scored=False)
    # Equal scores are ordered by place, so that the order of the file decides nothing.
    order = np.lexsort((*corners.T[::-1], -score, study))
    study, corners, score = study[order], corners[order], score[order]
    truths = np.bincount(truth_study, minlength=len(studies)).astype(np.int64)
    padded = np.full((len(studies), int(truths.max(initial=0)), 4), np.nan)
    order = np.lexsort((*truth_corners.T[::-1], truth_study))
    truth_study, truth_corners = truth_study[order], truth_corners[order]
    padded[truth_study, arrays.ranks(truth_study)] = truth_corners
    own = padded[study]
    # -1, for even at a threshold of 0 no detection finds a box that is not there.
    overlaps = np.where(np.isnan(own[..., 0]), -1.0, arrays.iou(corners[:, None], own)[:, 0])
    rank, area = arrays.ranks(study), arrays.area(corners)
    return BoxTable(tuple(studies), study, rank, score, area, truths, overlaps, padded)


def found(table: BoxTable, ious: Sequence[float], *, strict: bool) -> NDArray[np.bool_]:
    """Which detections find a truth box of their own: bool `[len(ious), D]`.

    In order of falling score each detection takes the free truth box it overlaps most, if that overlap is at least the
    threshold (`strict`: above it).
    """
    return assigned(table, ious, strict=strict) >= 0


def assigned(
    table: BoxTable, ious: Sequence[float], *, strict: bool, wanted: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """As `found`, but the place (0 to M - 1) of the truth box taken, -1 for none: int64 `[len(ious), D]`.

    Of equal overlaps the later box is taken, as pycocotools does. wanted: bool `[N, M]`; a truth box that is not
    wanted is taken only where the detection finds no wanted one.
    """
    levels = np.asarray(ious, np.float64)
    result = np.full((len(levels), len(table.score)), -1, np.int64)
    if table.overlaps.size == 0:
        return result
    free = np.ones((len(levels), *table.truth_boxes.shape[:2]), bool)  # (K, N, M)
    last = free.shape[-1] - 1
    each = np.arange(len(levels))[:, None]
    limit = levels[:, None, None]
    for rank in range(int(table.rank.max()) + 1):
        rows = np.flatnonzero((table.rank == rank) & (table.truths[table.study] > 0))
        if not len(rows):
            continue
        study = table.study[rows]
        overlap = np.where(free[:, study], table.overlaps[rows], -1.0)  # (K, R, M)
        reached = overlap > limit if strict else overlap >= limit
        if wanted is not None:
            better = reached & wanted[study]
            reached = np.where(better.any(-1, keepdims=True), better, reached)
        choice = last - np.where(reached, overlap, -1.0)[..., ::-1].argmax(-1)
        hit = reached.any(-1)
        free[each, study, choice] &= ~hit
        result[:, rows] = np.where(hit, choice, -1)
    return result


def ranked(table: BoxTable, iou: float = BOX_IOU, max_detections: int = 100) -> Matches:
    """The table's detections by falling score over all studies, for `keraskit.average_precision`."""
    table = table.top(max_detections)
    hits = found(table, [iou], strict=False)[0]
    order = np.argsort(-table.score, kind="stable")
    return Matches(table.score[order], table.study[order], hits[order], table.truths)


def _rows(
    number: pd.Index, frame: pd.DataFrame, *, scored: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    study = number.get_indexer(pd.Index(frame["study"]))
    known = study >= 0
    columns = frame[[*BOX, *(["score"] if scored else [])]].to_numpy(np.float64)[known]
    score = columns[:, 4] if scored else np.zeros(len(columns))
    return study[known].astype(np.int64), arrays.xywh_to_xyxy(columns[:, :4]), score
