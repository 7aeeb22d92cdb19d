"""What the report's tables say, from the files of the metrics: plain rows and words, no HTML but the inline bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from pneumonia.evaluation.words import BOX_MEASURES, NAMES, STUDY_MEASURES
from pneumonia.report.svg import interval_bar

GROUPS = {
    "view": "View", "sex": "Sex", "age": "Age", "negative": "Against", "boxes": "Opacities", "size": "Size",
    "side": "Side", "zone": "Zone",
}  # fmt: skip
VALUES = {
    ("sex", "F"): "women", ("sex", "M"): "men", ("negative", "normal"): "normal studies",
    ("negative", "not_normal"): "other findings", ("boxes", "1"): "one", ("boxes", "2"): "two",
    ("boxes", "3+"): "three or more", ("side", "left"): "the person's left", ("side", "right"): "the person's right",
}  # fmt: skip
FOREST_MEASURES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "auc": "AUC",
    "box_sensitivity": "Opacities found",
    "ap50": "AP at IoU 0.5",
}
REASONS = {
    "unsafe_name": "file name could lead outside a folder",
    "duplicate_id": "two files claim the same study",
    "unreadable": "file damaged or not decodable",
    "wrong_modality": "not a radiograph",
    "no_pixels": "no image in the file",
    "colour": "colour image",
    "multiframe": "more than one image in the file",
    "constant_pixels": "image of one grey value",
    "label_without_image": "label without an image",
    "image_without_label": "image without a label",
    "label_without_class": "label without a class",
    "labels_disagree": "positive in one label row, negative in another",
    "classes_disagree": "two classes for one study",
    "positive_without_boxes": "positive without a box",
    "negative_with_boxes": "negative with a box",
    "class_disagrees": "class and label contradict each other",
    "box_invalid": "box without a size",
    "box_outside_image": "box outside the image",
    "box_too_small": "box too small to be one",
}
MENDED = {
    "box_clipped": "box over the border, cut at it",
    "duplicate_label_row": "label row that came twice, kept once",
    "odd_age": "age that cannot be, taken as unknown",
}


class ForestRow(NamedTuple):
    """One group: `label` of its grouping and value, `basis` that it rests on, bar (SVG), numbers, if it is small."""

    label: str
    basis: str
    bar: str
    text: str
    small: bool


class Forest(NamedTuple):
    """One measure over all groups.

    Attributes:
        overall: the measure of all studies, as text.
    """

    title: str
    overall: str
    rows: list[ForestRow]


def forests(subgroups: pd.DataFrame, model: str) -> list[Forest]:
    """What plots/subgroups.csv says of a model: one `Forest` a measure, measures without a group left out."""
    if subgroups.empty:
        return []
    own = subgroups[subgroups["model"] == model]
    result = []
    for measure, title in FOREST_MEASURES.items():
        rows = own[own["measure"] == measure]
        everyone = rows[rows["group"] == "all"]["estimate"]
        reference = float(everyone.iloc[0]) if len(everyone) else math.nan
        kept = [
            _forest_row(row, reference)
            for group in GROUPS
            for row in rows[rows["group"] == group].to_dict("records")
            if not math.isnan(float(row["estimate"]))
        ]
        if kept:
            result.append(Forest(title, number(reference), kept))
    return result


def weakest(subgroups: pd.DataFrame, model: str, measure: str) -> str:
    """The group with the lowest estimate among those large enough to say something, in words; empty if there is none.

    A group that does no worse than all studies together is not weak, though the weaker ones be too small to say.
    """
    if subgroups.empty:
        return ""
    rows = subgroups[(subgroups["model"] == model) & (subgroups["measure"] == measure)]
    everyone = rows[rows["group"] == "all"]["estimate"].min()  # NaN where not told
    rows = rows[~(rows["estimate"] >= everyone)]
    rows = rows[(rows["small"] == 0) & rows["estimate"].notna() & rows["group"].isin(list(GROUPS))]
    if rows.empty:
        return ""
    row = rows.sort_values("estimate", kind="stable").to_dict("records")[0]
    return f"{_label(row)}: {percent(row['estimate'])} ({percent(row['low'])} to {percent(row['high'])})"


def comparisons(evaluation: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(model, measure, difference with interval, what it means) of each `ensemble_minus_<model>`."""
    words = STUDY_MEASURES | BOX_MEASURES
    result = []
    for model, name in NAMES.items():
        section = evaluation.get(f"ensemble_minus_{model}", {})
        for key in words:
            low, high = (_known(section.get(f"{key}_{end}")) for end in ("low", "high"))
            if key not in section:
                continue
            if math.isnan(low) or math.isnan(high):
                verdict = "no interval"
            elif low > 0:
                verdict = "the ensemble is better"
            elif high < 0:
                verdict = f"{name} is better"
            else:
                verdict = "no difference shown"
            text = f"{_known(section[key]):+.3f} ({low:+.3f} to {high:+.3f})".replace("+nan", "-")
            result.append((name, words[key], text, verdict))
    return result


def matrix(row: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """Rows of a confusion matrix: (actual, [(called, count, share of the row)]), from one of `slider.settings`."""
    cells = {
        "no opacity": (int(row["true_negatives"]), int(row["false_positives"])),
        "opacity": (int(row["false_negatives"]), int(row["true_positives"])),
    }
    return [
        (actual, [(called, n, n / max(sum(counts), 1)) for called, n in zip(cells, counts, strict=True)])
        for actual, counts in cells.items()
    ]


def left_out(clean: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(reason in words, studies) of what cleaning rejected, most first; reasons without a study are not listed."""
    counts = {k: v for k, v in clean.get("rejected", {}).items() if k != "total" and v}
    return [(REASONS.get(k, k.replace("_", " ")), n) for k, n in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]


def mended(clean: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(what, how often) of what cleaning mended."""
    return [(MENDED.get(k, k.replace("_", " ")), n) for k, n in sorted(clean.get("mended", {}).items()) if n]


def present(measures: Mapping[str, str], evaluation: Mapping[str, Any], models: Sequence[str]) -> dict[str, str]:
    """Those of `measures` (key -> title) that any of the models has."""
    return {key: title for key, title in measures.items() if any(key in evaluation[m] for m in models)}


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as (dotted key, text) pairs, in their order."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            rows += [pair for i, item in enumerate(value) for pair in flat(item, f"{name}[{i}].")]
        else:
            rows.append((name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows


def percent(value: float | None) -> str:
    """0.8333 -> 83%, halves up as the page's script has them; an unknown share is a dash."""
    return "-" if value is None or math.isnan(value) else f"{math.floor(value * 100 + 0.5)}%"


def number(value: float | None, digits: int = 2) -> str:
    """0.8333 -> 0.83, halves up; an unknown value is a dash."""
    power = 10**digits
    return "-" if value is None or math.isnan(value) else f"{math.floor(value * power + 0.5) / power:.{digits}f}"


def interval(values: Mapping[str, Any], key: str) -> str:
    """`0.78 to 0.88` of key_low and key_high; empty where there is no such interval."""
    low, high = values.get(f"{key}_low"), values.get(f"{key}_high")
    return "" if low is None and high is None else f"{number(low)} to {number(high)}"


def _forest_row(row: Mapping[Any, Any], reference: float) -> ForestRow:
    estimate, low, high = (float(row[name]) for name in ("estimate", "low", "high"))
    of_boxes = row["measure"] in ("box_sensitivity", "ap50")
    positives = int(row["positives"])
    counts = {"sensitivity": positives, "specificity": int(row["studies"]) - positives}
    count = int(row["boxes"]) if of_boxes else counts.get(row["measure"], int(row["studies"]))
    one, many = ("opacity", "opacities") if of_boxes else ("study", "studies")
    basis = f"{count} {one if count == 1 else many}"
    small = bool(int(row["small"]))
    bar = interval_bar(estimate, low, high, reference=reference, small=small)
    return ForestRow(_label(row), basis, bar, f"{number(estimate)} ({number(low)} to {number(high)})", small)


def _label(row: Mapping[Any, Any]) -> str:
    group, value = str(row["group"]), str(row["value"])
    return f"{GROUPS[group]}: {VALUES.get((group, value), value)}"


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)
