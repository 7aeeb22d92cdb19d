"""The operating points that the report's slider runs through: what each would have done on the holdout."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.data.subsets import Labelled
from pneumonia.metrics.matching import BOX_IOU, box_table, found

STEPS = 60  # besides the round thresholds and the chosen one
ROUND = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DECIMALS = 6  # of scores on disk


def settings(
    holdout: Labelled, scores: pd.Series, detections: pd.DataFrame | None, threshold: float, box_threshold: float
) -> pd.DataFrame:
    """One row a setting, thresholds rising; the chosen one is among them.

    Arguments:
        scores: study -> score.
        detections: study, x, y, width, height, score; None: a model without boxes.
        threshold, box_threshold: the chosen ones, from which score a study is called and a box is shown.

    Returns:
        columns threshold, box_threshold (see `matching_box_threshold`), chosen (0 or 1), true_positives, false_positives,
        false_negatives, true_negatives (studies), boxes_found (truth boxes found at IoU 0.5) and normal_boxes (boxes shown
        on studies without opacity). Of a model without boxes the last two are 0.
    """
    values = scores.reindex(holdout.ids).to_numpy(np.float64)
    ill = holdout.targets == 1
    spread = np.quantile(values, np.linspace(0.02, 0.995, STEPS)).round(3)
    thresholds = np.unique(np.r_[spread[spread > 0], ROUND, threshold])
    hits = wrong = np.zeros(0)
    if detections is not None:
        table = box_table(holdout.ids, detections, holdout.boxes)
        hits = np.sort(table.score[found(table, [BOX_IOU], strict=False)[0]])
        wrong = np.sort(table.score[~ill[table.study]])
    shown = matching_box_threshold(thresholds, threshold, box_threshold)
    called = values >= thresholds[:, None]  # (settings, studies)
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "box_threshold": shown,
            "chosen": (thresholds == threshold).astype(int),
            "true_positives": (called & ill).sum(1),
            "false_positives": (called & ~ill).sum(1),
            "false_negatives": (~called & ill).sum(1),
            "true_negatives": (~called & ~ill).sum(1),
            "boxes_found": len(hits) - np.searchsorted(hits, shown, side="left"),
            "normal_boxes": len(wrong) - np.searchsorted(wrong, shown, side="left"),
        }
    )


def matching_box_threshold(
    thresholds: NDArray[np.float64], threshold: float, box_threshold: float
) -> NDArray[np.float64]:
    """The box threshold that goes with each study threshold: on straight lines from (0, 0) over the chosen pair to (1, 1).

    A detector has one threshold for both, so the two stay equal. The ensemble has two; here they rise together.
    """
    end = max(1.0, threshold, box_threshold) + 10**-DECIMALS
    result: NDArray[np.float64] = np.interp(thresholds, [0.0, threshold, end], [0.0, box_threshold, end])
    return result.round(DECIMALS)
