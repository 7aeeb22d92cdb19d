"""The challenge's CSV: `patientId,PredictionString`, the string "confidence x y width height" once for each box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from keraskit.boxes import arrays
from pneumonia.files import write_atomic
from pneumonia.metrics import challenge, matching

COLUMNS = ["patientId", "PredictionString"]


class SubmissionError(ValueError):
    """A submission the challenge would refuse or misread."""


def build(
    detections: pd.DataFrame, ids: Sequence[str], sizes: pd.DataFrame, *, threshold: float, max_boxes: int
) -> pd.DataFrame:
    """The submission's table, one row an id in the order of `ids`.

    Coordinates have one decimal and stay inside the image; a box that loses all its area that way is left out.

    Arguments:
        detections: columns study, x, y, width, height (pixels of the original image), score.
        ids: of the studies.
        sizes: columns `columns`, `rows` in pixels, by study.
        threshold: lowest score that is submitted.
        max_boxes: best-scored boxes kept of a study.

    Raises:
        KeyError: a study with a detection has no size.
    """
    detections = detections[(detections["score"] >= threshold) & detections["study"].isin(list(ids))]
    detections = detections.sort_values(["study", "score"], ascending=[True, False], kind="stable")
    strings: dict[str, list[str]] = {study: [] for study in ids}
    ends = sizes.loc[detections["study"], ["columns", "rows"]].to_numpy(np.float64)
    corners = arrays.xywh_to_xyxy(detections[["x", "y", "width", "height"]].to_numpy(np.float64))
    # Both edges are rounded to tenths first, and the sides follow from them: x + width is then inside as well.
    tenths = arrays.clip(np.rint(corners * 10), np.c_[np.zeros_like(ends), ends * 10])
    for study, score, box in zip(
        detections["study"], detections["score"], arrays.xyxy_to_xywh(tenths.astype(np.int64)), strict=True
    ):
        if (box[2:] > 0).all() and len(strings[study]) < max_boxes:
            strings[study].append(f"{score:.6f} " + " ".join(f"{value / 10:.1f}" for value in box))
    return pd.DataFrame({"patientId": list(ids), "PredictionString": [" ".join(strings[study]) for study in ids]})


def best_threshold(detections: pd.DataFrame, boxes: pd.DataFrame, studies: Sequence[str], max_boxes: int) -> float:
    """The score threshold with the best challenge metric on `studies` (validation), `max_boxes` kept of each.

    Arguments:
        detections: columns study, x, y, width, height (pixels of the original image), score.
        boxes: truth, the same without score.
        studies: ids.
        max_boxes: best-scored boxes kept of a study.

    Returns:
        threshold: 0.5 without detections.
    """
    threshold, _ = challenge.best_threshold(matching.box_table(studies, detections, boxes).top(max_boxes))
    return threshold


def summary(frame: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Counts for metrics/submission.json."""
    boxes = np.array([len(parse(string)) for string in frame["PredictionString"]], dtype=np.int64)
    return {
        "threshold": float(threshold),
        "studies": len(frame),
        "studies_with_boxes": int((boxes > 0).sum()),
        "boxes": int(boxes.sum()),
    }


def check(frame: pd.DataFrame, ids: Sequence[str], sizes: pd.DataFrame) -> None:
    """Refuse a table that is not what the challenge takes.

    Wanted are the two columns, every id of `ids` (one or more) once and no other, groups of five finite numbers,
    confidences from 0 to 1, and boxes with an area inside the image.

    Arguments:
        frame: the table.
        ids: the test ids.
        sizes: columns `columns`, `rows` in pixels, by study.

    Raises:
        SubmissionError: what is wrong, and with which study.
    """
    if list(frame.columns) != COLUMNS:
        raise SubmissionError(f"columns {COLUMNS} are wanted, got {list(frame.columns)}")
    if not ids:
        raise SubmissionError("one test id or more is wanted, got none")
    given = frame["patientId"].tolist()
    if len(set(given)) != len(given):
        twice = frame["patientId"][frame["patientId"].duplicated()].iloc[0]
        raise SubmissionError(f"every id is wanted once, {twice} comes twice")
    missing, extra = sorted(set(ids) - set(given)), sorted(set(given) - set(ids))
    if missing or extra:
        first = f"no row for {missing[0]}" if missing else f"{extra[0]} is no test id"
        raise SubmissionError(f"{len(missing)} ids are missing and {len(extra)} are unknown: {first}")
    limits = sizes.loc[given, ["columns", "rows"]].to_numpy(np.float64)
    for study, string, (columns, rows) in zip(given, frame["PredictionString"], limits, strict=True):
        for box in parse(string, study):
            _check_box(box, study, columns, rows)


def parse(string: str, study: str = "?") -> list[tuple[float, float, float, float, float]]:
    """Boxes of a PredictionString, (confidence, x, y, width, height) each; raises SubmissionError for anything else."""
    if not isinstance(string, str):
        raise SubmissionError(f"{study}: a string is wanted (empty for no box), got {string!r}")
    parts = string.split()
    if len(parts) % 5:
        raise SubmissionError(f"{study}: groups of five numbers are wanted, got {len(parts)} numbers")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise SubmissionError(f"{study}: numbers are wanted, got {string!r}") from None
    it = iter(numbers)
    return list(zip(it, it, it, it, it, strict=True))


def write(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a checked table; a study without boxes has an empty string, as in the challenge's sample."""
    with write_atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def _check_box(box: tuple[float, float, float, float, float], study: str, columns: float, rows: float) -> None:
    score, x, y, width, height = box
    if not all(map(math.isfinite, box)):
        raise SubmissionError(f"{study}: finite numbers are wanted, got {box}")
    if not 0 <= score <= 1:
        raise SubmissionError(f"{study}: a confidence from 0 to 1 is wanted, got {score}")
    if width <= 0 or height <= 0:
        raise SubmissionError(f"{study}: a box with an area is wanted, got {width} x {height}")
    slack = 1e-6  # 0.1 + 0.2 is above 0.3
    if x < 0 or y < 0 or x + width > columns + slack or y + height > rows + slack:
        raise SubmissionError(
            f"{study}: a box inside the image of {columns:g} x {rows:g} is wanted, got x {x}, y {y}, {width} x {height}"
        )
