"""Which studies the report shows, and their pictures: what was found, misplaced, missed, and called without reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.data.subsets import Labelled
from pneumonia.metrics.matching import BOX_IOU, box_table, found
from pneumonia.schema.results import CASES
from pneumonia.schema.table import BOX

MAX_BOXES = 6  # detections of a model that a picture holds
KINDS = {
    "missed": (
        "Missed",
        "Opacities that were not called, the surest mistake first: the lower the score, the less any threshold helps.",
    ),
    "misplaced": (
        "Called, but the box is elsewhere",
        "An opacity called, but no shown box overlaps one by half. Highest score first.",
    ),
    "false": ("False alarms", "Called without an opacity, the surest mistake first."),
    "found": (
        "Found",
        "Called, and a box on the opacity. The hard ones first: those the fewest models call, then the lowest score.",
    ),
}
ORDER = {"missed": ["score"], "misplaced": ["-score"], "false": ["-score"], "found": ["models", "score"]}


@dataclass(frozen=True)
class Case:
    """One study to show. Arrays are in pixels of the resized image.

    number: counts through the report; it stands for the study, whose id the page does not name.
    study: the id, for the list beside the page. ill: whether it shows an opacity.
    facts: view, sex, age band, category, as words. scores: model -> the study's score.
    truth: float `[n, 4]` x1, y1, x2, y2. boxes: model -> float `[m, 6]`, the same, the score and 1 where the box finds
    a truth box (IoU 0.5, each truth box once), highest score first.
    """

    number: int
    study: str
    ill: bool
    facts: str
    scores: Mapping[str, float]
    truth: NDArray[np.float64]
    boxes: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Gallery:
    """Cases of one kind, those that teach most first. total: how many holdout studies are of this kind."""

    name: str
    title: str
    note: str
    total: int
    cases: list[Case]


def galleries(
    holdout: Labelled,
    scores: Mapping[str, pd.Series],
    detections: Mapping[str, pd.DataFrame],
    to_resized: Callable[[str, NDArray[np.float32]], NDArray[np.float32]],
    *,
    thresholds: Mapping[str, float],
    box_threshold: float,
    examples: int,
) -> list[Gallery]:
    """Sort the holdout studies into kinds by the ensemble's call and boxes, and take the first `examples` of each.

    scores: model -> study -> score, `ensemble` among them. detections: model -> study, x, y, width, height, score.
    to_resized: (study, boxes `[n, 4]` x, y, width, height in original pixels) -> `[n, 4]` corners in resized pixels.
    thresholds: model -> from which score it calls a study. box_threshold: from which score the ensemble's boxes show.
    A gallery holds one study a person: several of one are much alike.
    """
    frame = holdout.studies.set_index("study")
    frame["score"] = scores["ensemble"].reindex(frame.index)
    frame["-score"] = -frame["score"]
    frame["models"] = sum((scores[m].reindex(frame.index) >= t).astype(int) for m, t in thresholds.items())
    table = box_table(holdout.ids, detections["ensemble"], holdout.boxes)
    hits = found(table, [BOX_IOU], strict=False)[0] & (table.score >= box_threshold)
    placed = np.bincount(table.study[hits], minlength=len(frame)) > 0
    called, ill = frame["score"] >= thresholds["ensemble"], frame["target"] == 1
    masks = {
        "missed": ~called & ill,
        "misplaced": called & ill & ~placed,
        "false": called & ~ill,
        "found": called & ill & placed,
    }
    result, number = [], 0
    for name, mask in masks.items():
        ordered = frame[mask].sort_values(ORDER[name], kind="stable").drop_duplicates("person")
        cases = []
        for study in ordered.index[:examples]:
            number += 1
            cases.append(_case(number, str(study), frame, holdout.boxes, scores, detections, to_resized))
        result.append(Gallery(name, *KINDS[name], int(mask.sum()), cases))
    return result


def outcome(ill: bool, called: bool, placed: bool, has_boxes: bool = True) -> str:
    """What happened to a study, in a word or two: one of `found`, `box elsewhere`, `called`, `missed`, ..."""
    if not ill:
        return "false alarm" if called else "left alone"
    if not called:
        return "missed"
    if not has_boxes:
        return "called"
    return "found" if placed else "box elsewhere"


def facts(row: Mapping[Any, Any]) -> str:
    """View, sex, age in decades and category in words; what is unknown is left out."""
    sex = {"F": "woman", "M": "man"}.get(str(row.get("sex", "")), "")
    age = float(row.get("age", np.nan))  # years
    decade = "" if np.isnan(age) else f"{age // 10 * 10:.0f} to {age // 10 * 10 + 9:.0f} years"
    if age >= 90:
        decade = "90 years or more"  # few are as old: a narrow band would name the person
    category = {"normal": "normal", "not_normal": "no opacity, not normal", "opacity": "opacity"}[row["category"]]
    return ", ".join(word for word in (str(row["view"]), sex, decade, category) if word)


def _case(
    number: int,
    study: str,
    frame: pd.DataFrame,
    boxes: pd.DataFrame,
    scores: Mapping[str, pd.Series],
    detections: Mapping[str, pd.DataFrame],
    to_resized: Callable[[str, NDArray[np.float32]], NDArray[np.float32]],
) -> Case:
    def corners(rows: pd.DataFrame) -> NDArray[np.float64]:
        values = rows[BOX].to_numpy(np.float32)
        return np.asarray(to_resized(study, values), np.float64).reshape(-1, 4)

    truth = boxes[boxes["study"] == study]
    shown = {}
    for model, table in detections.items():
        rows = table[table["study"] == study]
        # In the order of `box_table`, so that its hits are these rows'.
        rows = rows.sort_values(["score", "x", "y"], ascending=[False, True, True], kind="stable")
        hit = found(box_table([study], rows, truth), [BOX_IOU], strict=False)[0]
        shown[model] = np.c_[corners(rows), rows["score"].to_numpy(np.float64), hit][:MAX_BOXES]
    return Case(
        number,
        study,
        bool(frame.loc[study, "target"]),
        facts(frame.loc[[study]].to_dict("records")[0]),
        {model: float(series.loc[study]) for model, series in scores.items()},
        corners(truth),
        shown,
    )


def index(kinds: Sequence[Gallery]) -> pd.DataFrame:
    """case, gallery, study: which study stands behind each number, for those who may know."""
    rows = [(case.number, kind.name, case.study) for kind in kinds for case in kind.cases]
    return pd.DataFrame(rows, columns=list(CASES.columns))
