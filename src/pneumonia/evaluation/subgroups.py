"""Where a model fails: its measures within groups of studies and of truth boxes.

Groups of studies: view, sex, age band, number of boxes, class of negative. Groups of truth boxes: size, side and zone
of the image. A group that is too small to say anything is flagged, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keraskit.boxes import arrays
from pneumonia.data.split import age_bands
from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.tables import Estimates
from pneumonia.metrics.image_level import Auc
from pneumonia.metrics.ratios import Array, Pair, Ratios
from pneumonia.schema.data import UNKNOWN, VIEWS
from pneumonia.schema.results import SIZES

# Two of the limits at which the U.S. National Center for Health Statistics suppresses a proportion (Parker et al. 2017,
# Vital and Health Statistics 2(175)): fewer than 30 independent observations, a 95% interval 0.30 wide or more.
SMALL_PERSONS = 30
WIDE_INTERVAL = 0.30
MEASURES = ("sensitivity", "specificity", "box_sensitivity", "boxes_per_normal")  # of a group of studies, and auc
AUC_KEYS = {"all": "auc", **{view: f"auc_{view.lower()}" for view in VIEWS}}  # what a model measures anyway

Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """One value of one grouping: `studies` bool `[N]`, and for a group of truth boxes `boxes` bool `[N, M]`."""

    name: str
    value: str
    studies: Bool
    boxes: Bool | None = None


class Key(NamedTuple):
    """One row of the table of subgroups."""

    group: str
    value: str
    measure: str


def size_limits(boxes: pd.DataFrame, split: pd.DataFrame) -> tuple[float, float]:
    """The areas (pixels of the original image, squared) that part the truth boxes outside the holdout in thirds.

    Of train and validation together: known before the holdout is looked at, and the same whichever fold validates.
    (0, 0) where there is no such box, so that every box is large.
    """
    others = boxes[boxes["study"].map(split.set_index("study")["subset"] != "holdout").fillna(False).astype(bool)]
    area = others["width"].to_numpy(np.float64) * others["height"].to_numpy(np.float64)
    if not len(area):
        return 0.0, 0.0
    first, second = np.quantile(area, [1 / 3, 2 / 3])
    return float(first), float(second)


def study_groups(labelled: Labelled) -> list[Group]:
    """All studies, then by view, sex, age band, number of boxes and class of negative; empty groups are left out.

    A column that the studies lack (sex, age) gives no group. A class of negative comes with all positives, so that it
    has an AUC: how well the positives are told from just these negatives.
    """
    studies, positive = labelled.studies, labelled.targets == 1
    result = [Group("all", "all", np.ones(len(studies), bool))]
    named = {name: studies[name].replace("", UNKNOWN) for name in ("view", "sex") if name in studies}
    if "age" in studies:
        named["age"] = age_bands(studies["age"])
    for name, column in named.items():
        place, values = pd.factorize(column, sort=True)
        result += [Group(name, value, place == number) for number, value in enumerate(values)]
    count = labelled.box_counts()
    for value, mask in (("1", count == 1), ("2", count == 2), ("3+", count >= 3)):
        result.append(Group("boxes", value, positive & mask))
    for value in ("normal", "not_normal"):
        other = (studies["category"] == value).to_numpy(bool)
        result.append(Group("negative", value, (other | positive) & other.any()))
    return [group for group in result if group.studies.any()]


def box_groups(labelled: Labelled, truth_boxes: Array, limits: tuple[float, float] | None) -> list[Group]:
    """Truth boxes by size, side and zone of the image; empty groups are left out.

    truth_boxes: `[N, M, 4]` x1, y1, x2, y2 in pixels of the original image, NaN where a study has fewer.
    limits: see `size_limits`; without them there is no size. Without rows and columns of the studies there is neither
    side nor zone.

    Side is the person's own: on a radiograph shown as usual the right lung is on the image's left. Zones are thirds of
    the image's height. A box belongs where its centre lies.
    """
    area = arrays.area(truth_boxes)  # NaN: in no range
    edges = [] if limits is None else list(pairwise((0.0, *limits, np.inf)))
    masks = {("size", size): (area >= low) & (area < high) for size, (low, high) in zip(SIZES, edges, strict=False)}
    if {"rows", "columns"} <= set(labelled.studies.columns):
        columns, rows = (labelled.studies[name].to_numpy(np.float64)[:, None] for name in ("columns", "rows"))
        across = truth_boxes[..., [0, 2]].mean(-1) / columns
        down = truth_boxes[..., [1, 3]].mean(-1) / rows
        masks |= {("side", "right"): across < 0.5, ("side", "left"): across >= 0.5}
        masks |= {
            ("zone", "upper"): down < 1 / 3,
            ("zone", "middle"): (down >= 1 / 3) & (down < 2 / 3),
            ("zone", "lower"): down >= 2 / 3,
        }
    return [Group(*name, np.any(boxes, axis=1), boxes) for name, boxes in masks.items() if boxes.any()]


class Subgroups:
    """One model's measures within its groups, under any weighting of its studies; keys are `Key`.

    A group of studies has auc, sensitivity, specificity and, of a detector, box_sensitivity and boxes_per_normal; a
    group of truth boxes has box_sensitivity, and a size ap50. What its members cannot have (the specificity of
    positives) is left out.
    """

    def __init__(self, model: MeasuredModel) -> None:
        self.model = model
        groups = study_groups(model.labelled)
        if model.table is not None:
            groups += box_groups(model.labelled, model.table.truth_boxes, model.size_limits)
        self.groups = {(group.name, group.value): group for group in groups}
        self.persons: dict[Key, int] = {}  # that the measure rests on
        self.aucs: dict[Key, Auc] = {}
        self.known = {
            Key("size", group.value, "ap50"): f"ap50_{group.value}" for group in groups if group.name == "size"
        }
        at = model.pairs_at(model.threshold, model.box_threshold)
        pairs: dict[Key, Pair] = {}
        for group in groups:
            if group.boxes is None:
                pairs |= self._pairs(group, at)
                self._add_auc(group)
            else:
                found = model.truths_found(model.box_threshold) & group.boxes
                pair = (found.sum(axis=1).astype(np.float64), group.boxes.sum(axis=1).astype(np.float64))
                pairs[Key(group.name, group.value, "box_sensitivity")] = pair
        self.ratios = Ratios(pairs)
        person = pd.factorize(model.labelled.studies["person"])[0]
        for key, (_, bottom) in pairs.items():
            self.persons[key] = len(np.unique(person[bottom > 0]))
        for key in (*self.aucs, *self.known):
            # An AUC rests on the rarer class; an average precision on the positives.
            of_class = [self.groups[key.group, key.value].studies & (model.targets == target) for target in (0, 1)]
            persons = [len(np.unique(person[studies])) for studies in of_class]
            self.persons[key] = min(persons) if key.measure == "auc" else persons[1]

    @staticmethod
    def _pairs(group: Group, at: Mapping[str, Pair]) -> dict[Key, Pair]:
        measures = ("specificity", "boxes_per_normal") if group.name == "negative" else MEASURES
        result = {}
        for measure in measures:
            if measure in at:
                top, bottom = (column * group.studies for column in at[measure])
                if bottom.any():
                    result[Key(group.name, group.value, measure)] = (top, bottom)
        return result

    def _add_auc(self, group: Group) -> None:
        targets = self.model.targets[group.studies]
        if 0 < targets.sum() < len(targets):
            key = Key(group.name, group.value, "auc")
            if group.name in ("all", "view") and (name := AUC_KEYS.get(group.value)):
                self.known[key] = name
            else:
                self.aucs[key] = Auc(self.model.scores, self.model.targets, group.studies)

    def measures(self, weights: Array, known: Mapping[str, Array]) -> dict[Key, Array]:
        """weights `[B, N]`, known: what the model measured under them -> a value `[B]` for each row of the table."""
        result = self.ratios(weights)
        result |= {key: auc(weights) for key, auc in self.aucs.items()}
        return result | {key: known[name] for key, name in self.known.items()}

    def table(self, estimates: Estimates) -> pd.DataFrame:
        """group, value, measure, studies, positives, boxes, estimate, low, high, small (0 or 1): groups in order."""
        counts = self.model.labelled.box_counts()
        rows = []
        for key in sorted(estimates, key=lambda key: list(self.groups).index((key.group, key.value))):
            group = self.groups[key.group, key.value]
            estimate, low, high = estimates[key]
            small = too_small(self.persons[key], key.measure, high - low)
            rows.append(
                {
                    **key._asdict(),
                    "studies": int(group.studies.sum()),
                    "positives": int(self.model.targets[group.studies].sum()),
                    "boxes": int(counts[group.studies].sum() if group.boxes is None else group.boxes.sum()),
                    "estimate": estimate,
                    "low": low,
                    "high": high,
                    "small": int(small),
                }
            )
        return pd.DataFrame(rows)


def too_small(persons: int, measure: str, width: float) -> bool:
    """Whether a group says too little: fewer than 30 persons, or an interval of a share 0.30 wide or more.

    persons: those in the denominator. width: of the 95% interval; NaN (no resamples) judges by the persons alone.
    Boxes a normal study are no share: only the persons count.
    """
    return persons < SMALL_PERSONS or (measure != "boxes_per_normal" and width >= WIDE_INTERVAL)
