"""What the predictions are worth, on disk: metrics, the tables and curves of the evaluation, the report, the submission."""

from __future__ import annotations

from collections.abc import Mapping

from pneumonia.schema.table import Table

EVALUATION = "metrics/evaluation.json"  # all of it
HEADLINES = "metrics/holdout"  # a file a model, the few measures that `dvc metrics` shows
EXPLAIN = "metrics/explain.json"

RATES = (
    "sensitivity", "specificity", "precision", "npv", "f1", "box_sensitivity", "box_precision", "boxes_per_normal"
)  # fmt: skip
HEADLINE = ("auc", "ap50", "sensitivity", "precision")  # each with the ends of its interval
LOWER_IS_BETTER = ("brier", "ece", "ece_raw", "boxes_per_normal")
OBJECTIVES = ("ap50", "challenge", "auc")  # what the ensemble can be tuned for
CALLS = ("no opacity", "opacity")
SIZES = ("small", "medium", "large")  # of truth boxes


def _decimals(columns: Mapping[str, str]) -> dict[str, int]:
    """A threshold is a score of a study: all its decimals, or the call at it changes."""
    return {name: 6 if name.endswith("threshold") else 5 for name, kind in columns.items() if kind == "float"}


def _table(path: str, columns: Mapping[str, str]) -> Table:
    return Table(path, columns, _decimals(columns))


# A file a model, by the name of their folder in plots/.
CURVES = {
    "roc": _table("plots/roc/{model}.csv", {"false_positive_rate": "float", "sensitivity": "float"}),
    "pr": _table("plots/pr/{model}.csv", {"recall": "float", "precision": "float"}),
    "froc": _table("plots/froc/{model}.csv", {"false_boxes": "float", "sensitivity": "float"}),
    "calibration": _table(
        "plots/calibration/{model}.csv",
        {
            "predicted": "float",
            "observed": "float",
            "studies": "int",
            "observed_low": "float",
            "observed_high": "float",
        },
    ),
    "challenge": _table("plots/challenge/{model}.csv", {"threshold": "float", "challenge": "float"}),
}
SUBGROUPS = _table(
    "plots/subgroups.csv",
    {
        "model": "str",
        "group": "str",
        "value": "str",
        "measure": "str",
        "studies": "int",
        "positives": "int",
        "boxes": "int",
        "estimate": "float",
        "low": "float",
        "high": "float",
        "small": "int",  # 1: too few persons, or too wide an interval, to say anything
    },
)
OPERATING = _table(
    "plots/operating.csv",
    {
        "model": "str",
        "threshold": "float",
        "box_threshold": "float",
        "chosen": "int",
        "true_positives": "int",
        "false_positives": "int",
        "false_negatives": "int",
        "true_negatives": "int",
    }
    | {f"{rate}{end}": "float" for rate in RATES for end in ("", "_low", "_high")},
)
CONFUSION = Table("plots/confusion.csv", {"actual": "str", "predicted": "str"})  # of CALLS

REPORT = "report"
PAGE = "index.html"
CASES = Table(f"{REPORT}/cases.csv", {"case": "int", "gallery": "str", "study": "str"})

SUBMISSION = "submission.csv"
SUBMISSION_METRICS = "metrics/submission.json"

MADE_BY = "made_by.json"  # of new studies: which models, run by what, with which params and operating point

# Of new studies, beside their submission and detections: one row a file of the input.
_RENDERED = {
    "decoder": "str",
    "window": "str",  # hu, voi_lut, dicom, percentile or none
    "center": "str",  # in values after the modality LUT; empty for voi_lut
    "width": "str",
    "inverted": "str",  # yes or no
    "notes": "str",  # what was mended or chosen
}
_FILE = {"path": "str", "study": "str", "status": "str", "reason": "str"}
NEW_STUDIES = Table("studies.csv", _FILE | {"warning": "str"} | _RENDERED)  # status: results, failed or skipped
RENDER = Table("render.csv", _FILE | _RENDERED)  # status: ok, rejected or skipped
