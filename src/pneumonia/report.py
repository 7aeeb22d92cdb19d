"""One HTML page that says what was built and how good it is: pictures first, no network, the same bytes each time."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia import figures
from pneumonia.charts import Line, line_chart
from pneumonia.gallery import Case, Gallery

NAMES = {"classifier": "Classifier", "maskrcnn": "Mask R-CNN", "yolo": "YOLOv3", "ensemble": "Ensemble"}
MEASURES = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "npv": "NPV",
    "f1": "F1",
    "ap50": "AP at IoU 0.5",
    "challenge": "Challenge metric",
    "box_sensitivity": "Boxes found",
    "boxes_per_normal": "Boxes per normal study",
}
WIDEST = 900  # pixels of an embedded figure
WORDS = 9.3  # width of "pneumonia 0.87" in letter heights


@dataclass(frozen=True)
class Inputs:
    """All the page is made from.

    evaluation, clean, split: the content of metrics/{evaluation,clean,split}.json.
    curves: `roc`, `pr`, `froc`; confusion: actual, predicted; histories: model -> epoch, measures.
    operating: see `metrics.operating_point.table`, for the ensemble.
    galleries: see `gallery.galleries`. pixels, cam: study -> its image (uint8 `[S, S]`), its activation map `[h, w]`.
    explore: (title, PNG bytes) of the first look. params: section -> values. data: (file, SHA-256) pairs.
    """

    evaluation: Mapping[str, Any]
    clean: Mapping[str, Any]
    split: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame]
    confusion: pd.DataFrame
    histories: Mapping[str, pd.DataFrame]
    operating: pd.DataFrame
    galleries: Sequence[Gallery]
    pixels: Callable[[str], NDArray[np.uint8]]
    cam: Callable[[str], NDArray[np.floating[Any]]]
    explore: Sequence[tuple[str, bytes]]
    params: Mapping[str, Any]
    data: Sequence[tuple[str, str]]


def render(inputs: Inputs) -> str:
    """The page as HTML text."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    source = resources.files("pneumonia").joinpath("templates")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "number": number, "interval": interval}
    models = [name for name in NAMES if name in inputs.evaluation]
    page = environment.from_string(source.joinpath("report.html").read_text(encoding="utf-8"))
    text: str = page.render(
        style=Markup(source.joinpath("report.css").read_text(encoding="utf-8")),
        script=Markup(source.joinpath("report.js").read_text(encoding="utf-8")),
        names=NAMES,
        measures=MEASURES,
        models=models,
        best=inputs.evaluation["ensemble"],
        evaluation=inputs.evaluation,
        charts=[(title, note, Markup(svg)) for title, note, svg in charts(inputs, models)],
        histories=[(title, Markup(svg)) for title, svg in history_charts(inputs.histories)],
        matrix=matrix(inputs.confusion),
        galleries=[(kind, [_picture(case, inputs) for case in kind.cases]) for kind in inputs.galleries],
        operating=Markup(_script_json(operating_points(inputs))),
        start=_start(inputs),
        rows=inputs.operating.to_dict("records"),
        clean=flat(inputs.clean),
        split=inputs.split,
        explore=[(title, _uri(shrink_png(data), "png")) for title, data in inputs.explore],
        params=flat(inputs.params),
        data=inputs.data,
    )
    return text


def charts(inputs: Inputs, models: Sequence[str]) -> list[tuple[str, str, str]]:
    """(title, what to look for, SVG) of ROC, PR and FROC, with the operating points on ROC and PR."""
    values = inputs.evaluation
    roc_points = [(m, 1 - _or_nan(values[m]["specificity"]), _or_nan(values[m]["sensitivity"])) for m in models]
    pr_points = [(m, _or_nan(values[m]["sensitivity"]), _or_nan(values[m]["precision"])) for m in models]
    widest = float(inputs.curves["froc"]["false_boxes"].max()) if len(inputs.curves["froc"]) else 1.0
    return [
        (
            "ROC: studies",
            "Sensitivity against the share of studies without opacity that are called. Dots: the operating points.",
            line_chart(
                _lines(inputs.curves["roc"], models),
                title="ROC curve of each model",
                x_label="1 - specificity",
                y_label="sensitivity",
                diagonal=True,
                points=roc_points,
            ),
        ),
        (
            "Precision and recall: studies",
            "How many of the called studies do show an opacity, against the share of the opacities called.",
            line_chart(
                _lines(inputs.curves["pr"], models),
                title="Precision-recall curve of each model",
                x_label="recall (sensitivity)",
                y_label="precision",
                points=pr_points,
            ),
        ),
        (
            "FROC: boxes",
            "Share of the opacities with a box on them (IoU 0.5), against false boxes a study.",
            line_chart(
                _lines(inputs.curves["froc"], models),
                title="FROC curve of each detector",
                x_label="false boxes a study",
                y_label="sensitivity per opacity",
                x_range=(0.0, min(max(math.ceil(widest), 1), 4)),
            ),
        ),
    ]


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


def matrix(confusion: pd.DataFrame) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """Rows of the confusion matrix: (actual, [(predicted, count, share of the row)])."""
    names = ["no opacity", "opacity"]
    counts = pd.crosstab(confusion["actual"], confusion["predicted"]).reindex(names, columns=names, fill_value=0)
    rows = []
    for actual, row in zip(names, counts.to_numpy().tolist(), strict=True):
        total = max(sum(row), 1)
        rows.append((actual, [(predicted, count, count / total) for predicted, count in zip(names, row, strict=True)]))
    return rows


def operating_points(inputs: Inputs) -> list[list[float | None]]:
    """Rows for the page's slider: threshold, sensitivity, specificity, precision, boxes found, boxes per normal."""
    columns = ["threshold", "sensitivity", "specificity", "precision", "box_sensitivity", "boxes_per_normal"]
    rows = inputs.operating[columns].to_numpy(np.float64)
    return [[round(v, 4) if math.isfinite(v) else None for v in row] for row in rows.tolist()]


def shrink_png(data: bytes, widest: int = WIDEST) -> bytes:
    """A PNG no wider than `widest` pixels, in at most 64 colours: a tenth of the bytes and as readable."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        picture = np.asarray(opened.convert("RGB"))
    if picture.shape[1] > widest:
        height = round(picture.shape[0] * widest / picture.shape[1])
        picture = cv2.resize(picture, (widest, height), interpolation=cv2.INTER_AREA)
    with io.BytesIO() as stream:
        Image.fromarray(picture).quantize(64, dither=Image.Dither.NONE).save(stream, format="png", optimize=True)
        return stream.getvalue()


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
    """0.8333 -> 83%; an unknown share is a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:.0%}"


def number(value: float | None, digits: int = 2) -> str:
    """0.8333 -> 0.83; an unknown value is a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def interval(values: Mapping[str, Any], key: str) -> str:
    """`0.78 to 0.88` of key_low and key_high."""
    return f"{number(values.get(f'{key}_low'))} to {number(values.get(f'{key}_high'))}"


def _start(inputs: Inputs) -> int:
    """Which row of the operating points is the chosen box threshold."""
    distance = (inputs.operating["threshold"] - inputs.evaluation["ensemble"]["box_threshold"]).abs()
    return int(np.argmin(distance.to_numpy()))


def _lines(points: pd.DataFrame, models: Sequence[str]) -> list[Line]:
    _, x, y = points.columns
    rows = {model: points[points["model"] == model] for model in models}
    return [Line(NAMES[m], m, rows[m][x].tolist(), rows[m][y].tolist()) for m in models if len(rows[m])]


def _picture(case: Case, inputs: Inputs) -> dict[str, Any]:
    """What the template draws of a case: the two images, and rectangles in the images' pixels."""
    image = inputs.pixels(case.study)
    letter = image.shape[0] / 21
    boxes = []
    for model, rows in case.boxes.items():
        for x1, y1, x2, y2, score in rows[::-1].tolist():  # the best last, on top
            place = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
            words = {
                "y": y1 - letter * 0.3 if y1 > letter * 1.2 else y1 + letter,
                "x": min(x1, image.shape[1] - letter * WORDS),  # words that would leave the image start further left
            }
            boxes.append(
                {
                    "rectangle": {k: f"{v:.1f}" for k, v in place.items()},
                    "words": {k: f"{v:.1f}" for k, v in words.items()},
                    "model": model,
                    "score": score,
                }
            )
    truth = [
        {k: f"{v:.1f}" for k, v in (("x", a), ("y", b), ("width", c - a), ("height", d - b))}
        for a, b, c, d in case.truth.tolist()
    ]
    return {
        "number": case.number,
        "facts": case.facts,
        "scores": case.scores,
        "size": image.shape[0],
        "letter": f"{letter:.1f}",
        "image": _uri(figures.jpeg(image, 85), "jpeg"),
        "cam": _uri(figures.jpeg(figures.cam_overlay(image, inputs.cam(case.study)), 75), "jpeg"),
        "truth": truth,
        "boxes": boxes,
    }


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
