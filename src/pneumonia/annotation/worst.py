"""Where labels and models disagree most, of studies that no model was trained on: candidates for a wrong label.

A label is in doubt by confident learning (Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset
Labels", section 3.1): a score beyond the mean score of the other label's studies says that the study belongs there. A box
is in doubt where a confident detection meets no labelled box, or no detection meets a labelled one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from keraskit.boxes.arrays import iou, xywh_to_xyxy
from pneumonia.schema.table import BOX, BOX_DECIMALS, BOX_TYPES, Table

MEETS = 0.1  # IoU below which two boxes are not about the same place
KINDS = ("label_positive", "label_negative", "box_not_labelled", "box_not_found")
WORST = Table(
    "worst.csv",
    {
        "rank": "int",
        "study": "str",
        "kind": "str",  # one of KINDS: what the label says and the model does not, or the reverse
        "target": "int",
        "score": "float",
        "disagreement": "float",  # 0 to 1
    }
    | BOX_TYPES,  # of the box in doubt, or empty
    {"score": 6, "disagreement": 6} | BOX_DECIMALS,
)


def worst(
    targets: pd.Series, scores: pd.Series, boxes: pd.DataFrame, detections: pd.DataFrame, *, box_threshold: float
) -> pd.DataFrame:
    """A row a doubt with the columns of `WORST`, the study of the greatest disagreement first, its doubts together.

    Arguments:
        targets: study -> 0 or 1, of the studies that are looked at.
        scores: study -> 0 to 1.
        boxes: study, x, y, width, height.
        detections: the same and score.
        box_threshold: score from which a detection is confident.

    Raises:
        ValueError: a study has no score.
    """
    said = scores.reindex(targets.index)
    if said.isna().any():
        raise ValueError(f"{int(said.isna().sum())} studies have no score, such as {said.index[said.isna()][0]}")
    rows = _of_labels(targets, said)
    truths = {str(study): own[BOX].to_numpy(np.float64) for study, own in boxes.groupby("study")}
    found = {str(study): own[[*BOX, "score"]].to_numpy(np.float64) for study, own in detections.groupby("study")}
    for study in targets.index:
        rows += _of_boxes(study, truths.get(study, np.zeros((0, 4))), found.get(study, np.zeros((0, 5))), box_threshold)
    frame = pd.DataFrame(rows, columns=["study", "kind", "disagreement", *BOX])
    frame["target"], frame["score"] = (
        targets.reindex(frame["study"]).to_numpy(),
        said.reindex(frame["study"]).to_numpy(),
    )
    frame["most"] = frame.groupby("study")["disagreement"].transform("max")
    frame = frame.sort_values(["most", "study", "disagreement"], ascending=[False, True, False], kind="stable")
    frame["rank"] = (~frame["study"].duplicated()).cumsum()
    return frame[list(WORST.columns)].reset_index(drop=True)


def _of_labels(targets: pd.Series, scores: pd.Series) -> list[tuple[object, ...]]:
    """Studies whose score goes beyond the mean of the other label's; where it reaches both means, the nearer end decides."""
    nowhere = (np.nan,) * len(BOX)
    positive = targets == 1
    if positive.all() or not positive.any():
        return []
    high, low = scores[positive].mean(), scores[~positive].mean()
    rows: list[tuple[object, ...]] = []
    for study, target, score in zip(targets.index, targets, scores, strict=True):
        as_positive = score >= high and (score > low or score > 0.5)
        as_negative = score <= low and (score < high or score <= 0.5)
        if target == 0 and as_positive:
            rows.append((study, "label_negative", score, *nowhere))
        elif target == 1 and as_negative:
            rows.append((study, "label_positive", 1 - score, *nowhere))
    return rows


def _of_boxes(study: str, truths: np.ndarray, found: np.ndarray, threshold: float) -> list[tuple[object, ...]]:
    overlaps = iou(xywh_to_xyxy(truths), xywh_to_xyxy(found[:, :4]))
    rows: list[tuple[object, ...]] = []
    for place, (*box, score) in enumerate(found.tolist()):
        if score >= threshold and not (overlaps[:, place] >= MEETS).any():
            rows.append((study, "box_not_labelled", score, *box))
    for place, box in enumerate(truths.tolist()):
        best = max(
            (score for score, meets in zip(found[:, 4], overlaps[place] >= MEETS, strict=True) if meets), default=0.0
        )
        if best < threshold:
            rows.append((study, "box_not_found", 1 - best, *box))
    return rows
