"""One set of boxes from several detectors, the classifier's say in it, and a score for each study.

Detections of each model pass its threshold, are merged (`union`, `wbf` or a single model), gated by the classifier's
score of the study, shrunk about their centres and, where it is asked for, cut at the border of their image. All studies
are worked on together, one box of each at a time in order of falling score, so that thousands take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keraskit.boxes import arrays
from pneumonia.schema.predictions import DETECTIONS
from pneumonia.schema.table import BOX

Array = NDArray[np.float64]


class Fused(NamedTuple):
    """What the ensemble says of studies.

    Attributes:
        detections: columns study, x, y, width, height (float64, pixels of the original image), score (0 to 1), sorted by
            study, then falling score.
        scores: float64, 0 to 1, the score of each study by its id, in the order that was asked for.
    """

    detections: pd.DataFrame
    scores: pd.Series


def fuse(
    detections: Mapping[str, pd.DataFrame],
    class_scores: pd.Series,
    studies: Sequence[str],
    *,
    strategy: str,
    iou: float,
    weights: Mapping[str, float],
    thresholds: Mapping[str, float],
    gate: Mapping[str, Any],
    shrink: float,
    sizes: pd.DataFrame | None = None,
) -> Fused:
    """Merge, gate, shrink and clip the boxes of several detectors, and score the studies.

    From `strategy` to `shrink` the arguments are the section `ensemble` of params.yaml as it stands.

    Arguments:
        detections: model -> columns study, x, y, width, height (pixels of the original image), score.
        class_scores: study -> the classifier's score, 0 to 1.
        studies: which studies to return.
        strategy: `union` keeps of overlapping boxes the one with the highest score times its model's weight (weights
            relative to the largest); `wbf` averages them; the name of one model in `detections` takes its detections as
            they are, unweighted.
        iou: boxes overlapping more are the same finding.
        weights: model -> trust; 0 leaves it out.
        thresholds: model -> the score below which its detections do not enter.
        gate: what a study's class score p does to its detections. mode: `none` | `threshold` (they are dropped where
            p < `threshold`) | `multiply` (score times p ** `power`).
        shrink: factor on width and height about the centre.
        sizes: columns `columns` and `rows`, pixels, by study: boxes are cut at the border of their image, and dropped
            where nothing is left. None: they stay as they are.

    Returns:
        fused: the detections that stand, and for each study the mean of the classifier's score and the highest merged
            detection's (0 without one) before the gate, which would count the classifier twice.

    Raises:
        ValueError: an unknown strategy or gate, a negative weight, a study without a class score.
        KeyError: a study without a size.
    """
    merged = _merge(detections, studies, strategy=strategy, iou=iou, weights=weights, thresholds=thresholds)
    scores = _study_scores(merged, class_scores, studies)
    boxes = _shrink(_apply_gate(merged, class_scores, **gate), shrink)
    return Fused(boxes if sizes is None else _clip(boxes, sizes), scores)


def _merge(
    detections: Mapping[str, pd.DataFrame],
    studies: Sequence[str],
    *,
    strategy: str,
    iou: float,
    weights: Mapping[str, float],
    thresholds: Mapping[str, float],
) -> pd.DataFrame:
    models = sorted(detections)
    if strategy not in ("union", "wbf", *models):
        raise ValueError(f"ensemble.strategy must be union, wbf or one of {models}, got {strategy!r}")
    used = models if strategy in ("union", "wbf") else [strategy]
    _check(used, weights, "ensemble.weights")
    _check(used, thresholds, "ensemble.thresholds")
    if len(used) > 1:
        used = [model for model in used if weights[model] > 0]
    if not used:
        raise ValueError(f"ensemble.weights must be above 0 for one model or more, got {dict(weights)}")
    number = pd.Series(np.arange(len(studies)), index=pd.Index(list(studies), dtype=object))
    parts = []
    for model in used:
        frame = detections[model]
        frame = frame[(frame["score"] >= thresholds[model]) & frame["study"].isin(number.index)]
        parts.append(frame[list(DETECTIONS.columns)].assign(weight=float(weights[model])))
    rows = pd.concat(parts, ignore_index=True)
    study = number.loc[rows["study"].to_numpy()].to_numpy(np.int64)
    boxes = arrays.xywh_to_xyxy(rows[BOX].to_numpy(np.float64))
    score, weight = rows["score"].to_numpy(np.float64), rows["weight"].to_numpy(np.float64)
    if strategy == "wbf":
        study, boxes, score = _weighted_box_fusion(study, boxes, score, weight, iou, sum(weights[m] for m in used))
    elif strategy == "union":
        score = score * weight / max(weights[m] for m in used)
        kept = arrays.non_max_suppression(boxes, score, iou, study)
        study, boxes, score = study[kept], boxes[kept], score[kept]
    return _frame(np.asarray(list(studies), dtype=object)[study], boxes, score)


def _study_scores(merged: pd.DataFrame, class_scores: pd.Series, studies: Sequence[str]) -> pd.Series:
    missing = sorted(set(studies) - set(class_scores.index))
    if missing:
        raise ValueError(f"{len(missing)} studies have no classifier score, the first is {missing[0]}")
    names = pd.Index(list(studies), name="study")
    highest = merged.groupby("study")["score"].max().reindex(names).fillna(0.0).to_numpy(np.float64)
    own = class_scores.reindex(names).to_numpy(np.float64)
    return pd.Series((own + highest) / 2, index=names, name="score")


def _apply_gate(
    frame: pd.DataFrame, class_scores: pd.Series, *, mode: str, threshold: float, power: float
) -> pd.DataFrame:
    if mode == "none":
        return frame
    p = class_scores.reindex(frame["study"]).to_numpy(np.float64)
    if mode == "threshold":
        return frame[p >= threshold].reset_index(drop=True)
    if mode == "multiply":
        return frame.assign(score=frame["score"].to_numpy(np.float64) * p**power)
    raise ValueError(f"ensemble.gate.mode must be none, threshold or multiply, got {mode!r}")


def _shrink(frame: pd.DataFrame, factor: float) -> pd.DataFrame:
    if not factor > 0:
        raise ValueError(f"ensemble.shrink must be above 0, got {factor}")
    return frame.assign(
        x=frame["x"] + frame["width"] * (1 - factor) / 2,
        y=frame["y"] + frame["height"] * (1 - factor) / 2,
        width=frame["width"] * factor,
        height=frame["height"] * factor,
    )


def _clip(frame: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    ends = sizes.loc[frame["study"], ["columns", "rows"]].to_numpy(np.float64)
    corners = arrays.clip(arrays.xywh_to_xyxy(frame[BOX].to_numpy(np.float64)), np.c_[np.zeros_like(ends), ends])
    boxes: Array = arrays.xyxy_to_xywh(corners)
    frame = frame.assign(**dict(zip(BOX, boxes.T, strict=True)))
    return frame[(boxes[:, 2] > 0) & (boxes[:, 3] > 0)].reset_index(drop=True)


def _weighted_box_fusion(
    study: NDArray[np.int64], boxes: Array, score: Array, weight: Array, iou: float, total_weight: float
) -> tuple[NDArray[np.int64], Array, Array]:
    """Weighted box fusion within each study (Solovyev, Wang and Gabruseva 2021, section 3).

    Boxes join, by falling weighted score, the cluster whose fused box they overlap most, if by more than `iou`, else
    they start a new one. A cluster's box is the mean of its members' corners, weighted by weight x score. Its score is
    the sum of weight x score over `total_weight` (the sum over all models): a finding that a model missed loses that
    model's share, the paper's scaling of the mean by min(T, N) / N for T members and N models.

    Arguments:
        study: int64 `[D]`, 0 and up.
        boxes: float64 `[D, 4]` x1, y1, x2, y2.
        score: `[D]`.
        weight: `[D]`, of each box's model.
        iou: see above.
        total_weight: see above.

    Returns:
        study, boxes, score: of the fused boxes.
    """
    order = np.lexsort((-score * weight, study))
    study, boxes, score, weight = study[order], boxes[order], score[order], weight[order]
    rank = arrays.ranks(study)
    share = score * weight
    studies, ranks = int(study.max(initial=-1)) + 1, int(rank.max(initial=-1)) + 1
    corners = np.zeros((studies, ranks, 4))  # weighted sums of the members' corners
    mass = np.zeros((studies, ranks))  # sums of weight x score
    trust = np.zeros((studies, ranks))  # sums of weight
    for now in range(ranks):
        rows = np.flatnonzero(rank == now)
        own = study[rows]
        cluster = np.full(len(rows), now)  # a place of its own: at most one cluster a box
        if now:
            fused = corners[own, :now] / np.maximum(mass[own, :now], 1e-300)[..., None]
            overlap = np.where(mass[own, :now] > 0, arrays.iou(boxes[rows, None], fused)[:, 0], -1.0)
            best = overlap.argmax(axis=1)
            cluster = np.where(overlap[np.arange(len(rows)), best] > iou, best, now)
        corners[own, cluster] += boxes[rows] * share[rows, None]
        mass[own, cluster] += share[rows]
        trust[own, cluster] += weight[rows]
    where, place = np.nonzero(mass > 0)
    total = mass[where, place]
    # A cluster that holds two boxes of one model may weigh more than all models: its mean score then (T capped at N).
    result = total / np.maximum(trust[where, place], total_weight)
    return where.astype(np.int64), corners[where, place] / total[:, None], result


def _frame(study: NDArray[np.object_], boxes: Array, score: Array) -> pd.DataFrame:
    frame = pd.DataFrame({"study": study, **dict(zip(BOX, arrays.xyxy_to_xywh(boxes).T, strict=True)), "score": score})
    return frame.sort_values(
        ["study", "score", "x", "y"], ascending=[True, False, True, True], kind="stable", ignore_index=True
    )


def _check(models: Sequence[str], values: Mapping[str, float], name: str) -> None:
    for model in models:
        if model not in values:
            raise ValueError(f"{name} has no {model}, got {sorted(values)}")
        if values[model] < 0:
            raise ValueError(f"{name}.{model} must be at least 0, got {values[model]}")
