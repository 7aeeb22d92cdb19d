"""One set of boxes from several detectors, and the classifier's say in it.

Detections of each model pass its threshold, are merged (`union`, `wbf` or a single model), gated by the classifier's
score of the study and shrunk about their centres. All studies are worked on together, one box of each at a time in
order of falling score, so that thousands take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.schema.boxes import BOX
from pneumonia.schema.predictions import DETECTIONS

Array = NDArray[np.float64]


def fuse(
    detections: Mapping[str, pd.DataFrame],
    class_scores: pd.Series,
    studies: Sequence[str],
    *,
    strategy: str,
    iou: float,
    weights: Mapping[str, float],
    thresholds: Mapping[str, float],
    gate_mode: str,
    gate_threshold: float,
    gate_power: float,
    shrink: float,
) -> pd.DataFrame:
    """Merge, gate and shrink.

    detections: model -> columns study, x, y, width, height (pixels of the original image), score.
    class_scores: study -> the classifier's score, 0 to 1.
    studies: which studies to return.
    strategy: `union` | `wbf` | the name of one model in `detections`.
    iou: boxes overlapping more are the same finding.
    weights, thresholds: model -> trust (0 leaves it out), and the score below which its detections do not enter.
    gate_mode: `none` | `threshold` (a study's detections are dropped where the classifier's score is below
        `gate_threshold`) | `multiply` (score times class score to the power of `gate_power`).
    shrink: factor on width and height about the centre.

    Returns the columns of `detections`, sorted by study, then falling score. Nothing passed in is changed.
    Raises ValueError for an unknown strategy or gate, a negative weight, or a study without a class score.
    """
    fused = merge(detections, studies, strategy=strategy, iou=iou, weights=weights, thresholds=thresholds)
    fused = gate(fused, class_scores, mode=gate_mode, threshold=gate_threshold, power=gate_power)
    return shrink_boxes(fused, shrink)


def options(section: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `fuse` from the values of the params section `ensemble`, whose `gate` is a section."""
    flat = {key: value for key, value in section.items() if key != "gate"}
    return flat | {f"gate_{key}": value for key, value in section["gate"].items()}


def merge(
    detections: Mapping[str, pd.DataFrame],
    studies: Sequence[str],
    *,
    strategy: str,
    iou: float,
    weights: Mapping[str, float],
    thresholds: Mapping[str, float],
) -> pd.DataFrame:
    """The first step of `fuse`, same arguments.

    `union` keeps of overlapping boxes the one with the highest score times its model's weight (weights relative to the
    largest); `wbf` averages them; a model's name takes its detections as they are, unweighted.
    """
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
    boxes = rows[BOX].to_numpy(np.float64, copy=True)
    boxes[:, 2:] += boxes[:, :2]
    score, weight = rows["score"].to_numpy(np.float64), rows["weight"].to_numpy(np.float64)
    if strategy == "wbf":
        study, boxes, score = weighted_box_fusion(study, boxes, score, weight, iou, sum(weights[m] for m in used))
    elif strategy == "union":
        score = score * weight / max(weights[m] for m in used)
        kept = suppress(study, boxes, score, iou)
        study, boxes, score = study[kept], boxes[kept], score[kept]
    return _frame(np.asarray(list(studies), dtype=object)[study], boxes, score)


def gate(
    frame: pd.DataFrame, class_scores: pd.Series, *, mode: str, threshold: float = 0.0, power: float = 1.0
) -> pd.DataFrame:
    """Let the classifier's score p of a study drop its detections, or scale their scores by p ** `power`."""
    if mode == "none":
        return frame.copy()
    if mode not in ("threshold", "multiply"):
        raise ValueError(f"ensemble.gate.mode must be none, threshold or multiply, got {mode!r}")
    missing = sorted(set(frame["study"]) - set(class_scores.index))
    if missing:
        raise ValueError(f"{len(missing)} studies with detections have no classifier score, the first is {missing[0]}")
    p = class_scores.reindex(frame["study"]).to_numpy(np.float64)
    if mode == "threshold":
        return frame[p >= threshold].reset_index(drop=True)
    return frame.assign(score=frame["score"].to_numpy(np.float64) * p**power)


def shrink_boxes(frame: pd.DataFrame, factor: float) -> pd.DataFrame:
    """Width and height times `factor`, the centre stays."""
    if not factor > 0:
        raise ValueError(f"ensemble.shrink must be above 0, got {factor}")
    return frame.assign(
        x=frame["x"] + frame["width"] * (1 - factor) / 2,
        y=frame["y"] + frame["height"] * (1 - factor) / 2,
        width=frame["width"] * factor,
        height=frame["height"] * factor,
    )


def clip_boxes(frame: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """Cut boxes at the border of their image and drop those left without area.

    sizes: columns `columns` and `rows` in pixels, indexed by study. Raises KeyError for a study without a size.
    """
    columns, rows = (sizes.loc[frame["study"], name].to_numpy(np.float64) for name in ("columns", "rows"))
    left, top = frame["x"].clip(lower=0), frame["y"].clip(lower=0)
    right = np.minimum(frame["x"] + frame["width"], columns)
    bottom = np.minimum(frame["y"] + frame["height"], rows)
    frame = frame.assign(x=left, y=top, width=right - left, height=bottom - top)
    return frame[(frame["width"] > 0) & (frame["height"] > 0)].reset_index(drop=True)


def study_scores(merged: pd.DataFrame, class_scores: pd.Series, studies: Sequence[str]) -> pd.DataFrame:
    """The ensemble's score of a study: mean of the classifier's score and the highest merged detection's (0 without).

    merged: detections before the gate, which would count the classifier twice.

    Returns columns study, score, in the order of `studies`.
    """
    missing = sorted(set(studies) - set(class_scores.index))
    if missing:
        raise ValueError(f"{len(missing)} studies have no classifier score, the first is {missing[0]}")
    highest = merged.groupby("study")["score"].max().reindex(list(studies)).fillna(0.0).to_numpy(np.float64)
    own = class_scores.reindex(list(studies)).to_numpy(np.float64)
    return pd.DataFrame({"study": list(studies), "score": (own + highest) / 2})


def suppress(study: NDArray[np.int64], boxes: Array, score: Array, iou: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression within each study: the rows to keep, sorted by study, then falling score.

    study: int `[D]`, 0 and up. boxes: `[D, 4]` x1, y1, x2, y2. score: `[D]`. A box goes where it overlaps a kept one of
    its study by more than `iou`.
    """
    order, rank = _ranked(study, score)
    study, boxes = study[order], boxes[order]
    kept = np.zeros(len(order), bool)
    held = np.zeros((int(study.max(initial=-1)) + 1, int(rank.max(initial=-1)) + 1, 4))  # zero boxes overlap nothing
    for now in range(held.shape[1]):
        rows = np.flatnonzero(rank == now)
        kept[rows] = (_iou(boxes[rows], held[study[rows], :now]) <= iou).all(axis=1)
        held[study[rows], now] = boxes[rows] * kept[rows, None]
    return order[kept]


def weighted_box_fusion(
    study: NDArray[np.int64], boxes: Array, score: Array, weight: Array, iou: float, total_weight: float
) -> tuple[NDArray[np.int64], Array, Array]:
    """Weighted box fusion within each study (Solovyev, Wang and Gabruseva 2021, section 3).

    Boxes join, by falling weighted score, the cluster whose fused box they overlap most, if by more than `iou`, else
    they start a new one. A cluster's box is the mean of its members' corners, weighted by weight x score. Its score is
    the sum of weight x score over `total_weight` (the sum over all models): a finding that a model missed loses that
    model's share, the paper's scaling of the mean by min(T, N) / N for T members and N models.

    study: int `[D]`. boxes: `[D, 4]` x1, y1, x2, y2. score, weight: `[D]`.

    Returns (study, boxes, score) of the fused boxes.
    """
    order, rank = _ranked(study, score * weight)
    study, boxes, score, weight = study[order], boxes[order], score[order], weight[order]
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
            overlap = np.where(mass[own, :now] > 0, _iou(boxes[rows], fused), -1.0)
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


def _ranked(study: NDArray[np.int64], score: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order by study, then falling score (stable), and each ordered row's rank within its study."""
    order = np.lexsort((-score, study))
    ordered = study[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    return order, np.arange(len(order)) - starts


def _iou(boxes: Array, others: Array) -> Array:
    """IoU of `[R, 4]` with `[R, C, 4]` -> `[R, C]`; 0 for empty boxes."""
    one = boxes[:, None]
    sides = np.clip(np.minimum(one[..., 2:], others[..., 2:]) - np.maximum(one[..., :2], others[..., :2]), 0.0, None)
    shared = sides[..., 0] * sides[..., 1]
    area, other = (np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (one, others))
    union = area + other - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _frame(study: NDArray[np.object_], boxes: Array, score: Array) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "study": study,
            "x": boxes[:, 0],
            "y": boxes[:, 1],
            "width": boxes[:, 2] - boxes[:, 0],
            "height": boxes[:, 3] - boxes[:, 1],
            "score": score,
        }
    )
    return frame.sort_values(
        ["study", "score", "x", "y"], ascending=[True, False, True, True], kind="stable", ignore_index=True
    )


def _check(models: Sequence[str], values: Mapping[str, float], name: str) -> None:
    for model in models:
        if model not in values:
            raise ValueError(f"{name} has no {model}, got {sorted(values)}")
        if values[model] < 0:
            raise ValueError(f"{name}.{model} must be at least 0, got {values[model]}")
