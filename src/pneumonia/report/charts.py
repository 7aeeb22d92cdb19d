"""The report's charts: what the curves and the histories look like as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pneumonia.evaluation.words import NAMES
from pneumonia.report.svg import Line, line_chart


def charts(
    curves: Mapping[str, pd.DataFrame], settings: Mapping[str, pd.DataFrame], models: Sequence[str]
) -> list[tuple[str, str, str]]:
    """(title, what to look for, SVG) of ROC, PR, FROC and calibration, with the operating points on ROC and PR.

    Arguments:
        curves: `roc`, `pr`, `froc`, `calibration`, the column `model` first, or empty.
        settings: see `slider.settings`.
        models: in the order of the page; the first is drawn on top.
    """
    roc_points, pr_points = [], []
    for model in reversed(models):
        row = chosen_setting(settings[model])
        sensitivity = _ratio(row["true_positives"], row["true_positives"] + row["false_negatives"])
        false_rate = _ratio(row["false_positives"], row["false_positives"] + row["true_negatives"])
        roc_points.append((model, false_rate, sensitivity))
        pr_points.append(
            (model, sensitivity, _ratio(row["true_positives"], row["true_positives"] + row["false_positives"]))
        )
    widest = float(curves["froc"]["false_boxes"].max()) if len(curves["froc"]) else 1.0
    result = [
        (
            "ROC: studies",
            "Sensitivity against the share of studies without opacity that are called. Dots: the operating points; that "
            "of the model chosen above moves with the slider.",
            line_chart(
                _lines(curves["roc"], models),
                title="ROC curve of each model",
                x_label="1 - specificity",
                y_label="sensitivity",
                diagonal=True,
                points=roc_points,
                name="roc",
            ),
        ),
        (
            "Precision and recall: studies",
            "How many of the called studies do show an opacity, against the share of the opacities called.",
            line_chart(
                _lines(curves["pr"], models),
                title="Precision-recall curve of each model",
                x_label="recall (sensitivity)",
                y_label="precision",
                points=pr_points,
                name="pr",
            ),
        ),
        (
            "FROC: boxes",
            "Share of the opacities with a box on them (IoU 0.5), against false boxes a study.",
            line_chart(
                _lines(curves["froc"], models),
                title="FROC curve of each detector",
                x_label="false boxes a study",
                y_label="sensitivity per opacity",
                x_range=(0.0, min(max(math.ceil(widest), 1), 4)),
            ),
        ),
    ]
    if len(curves["calibration"]):
        result.append(_calibration(curves["calibration"], models))
    return result


def history_charts(histories: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """(title, SVG) of each model's losses, and of what validation measured, epoch by epoch."""
    result = []
    for model, history in histories.items():
        names = [str(name) for name in history.columns]
        for title, chosen in (
            ("loss", [c for c in names if c in ("loss", "val_loss")]),
            ("validation", [c for c in names if c.startswith("val_") and "loss" not in c]),
        ):
            columns = [c for c in chosen if history[c].notna().any()]
            if not columns or not len(history):
                continue
            kinds = ("plain", "dashed", model, "ensemble")
            values = history[columns].to_numpy(np.float64)
            lines = [
                Line(c, kinds[i % len(kinds)], history["epoch"].tolist(), history[c].tolist())
                for i, c in enumerate(columns)
            ]
            words = " and ".join(c.replace("_", " ") for c in columns) if len(columns) < 3 else title
            svg = line_chart(
                lines,
                title=f"{NAMES.get(model, model)}: {words} by epoch",
                x_label="epoch",
                y_label=words,
                x_range=(float(history["epoch"].min()), float(history["epoch"].max())),
                y_range=(min(0.0, float(np.nanmin(values))), float(np.nanmax(values)) * 1.05),
            )
            result.append((f"{NAMES.get(model, model)}: {words}", svg))
    return result


def chosen_setting(settings: pd.DataFrame) -> dict[str, Any]:
    """The setting that was chosen on validation."""
    row = settings.to_dict("records")[int(np.argmax(settings["chosen"]))]
    return {str(name): value for name, value in row.items()}


def _calibration(bins: pd.DataFrame, models: Sequence[str]) -> tuple[str, str, str]:
    whiskers = []
    if {"observed_low", "observed_high"} <= set(bins.columns):
        own = bins[bins["model"] == "ensemble"]
        columns = own[["predicted", "observed_low", "observed_high"]].to_numpy(np.float64)
        whiskers = [("ensemble", *row) for row in columns.tolist()]
    return (
        "Calibration: studies",
        "The share that do show an opacity, among studies of like score. On the diagonal a score is a probability. "
        "Upright: 95% intervals of the ensemble.",
        line_chart(
            _lines(bins[["model", "predicted", "observed"]], models),
            title="Calibration of each model",
            x_label="mean score",
            y_label="share with opacity",
            diagonal=True,
            whiskers=whiskers,
        ),
    )


def _lines(points: pd.DataFrame, models: Sequence[str]) -> list[Line]:
    if points.empty:
        return []
    _, x, y = points.columns
    rows = {model: points[points["model"] == model] for model in models}
    drawn = [m for m in reversed(models) if len(rows[m])]  # the first is drawn last, on top
    return [Line(NAMES[m], m, rows[m][x].tolist(), rows[m][y].tolist()) for m in drawn]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
