"""One HTML page that says what was built and how good it is: pictures first, no network, the same bytes each time."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keraskit.boxes.arrays import xyxy_to_xywh
from pneumonia import extras
from pneumonia import pictures as figures
from pneumonia.evaluation.explanations import coverage, mass
from pneumonia.evaluation.words import BOX_MEASURES, FROC_MEASURES, NAMES, STUDY_MEASURES
from pneumonia.report import tables
from pneumonia.report.charts import charts, chosen_setting, history_charts
from pneumonia.report.gallery import Case, Gallery, outcome
from pneumonia.report.svg import hundred, per_hundred
from pneumonia.report.tables import number, percent
from pneumonia.schema.models import DETECTORS

WIDEST = 900  # pixels of an embedded figure
WORDS = 7.6  # width of "opacity 0.87" in letter heights
OUTCOMES = {
    "true_positives": "found",
    "false_negatives": "missed",
    "false_positives": "alarm",
    "true_negatives": "left",
}
# What the slider's script needs of a setting, in this order.
SETTING = (
    "threshold", "box_threshold", "true_positives", "false_positives", "false_negatives", "true_negatives",
    "boxes_found", "normal_boxes",
)  # fmt: skip
LIVE = {  # rows of the slider's table: (title, shown as per cent)
    "sensitivity": ("Sensitivity: opacities called", True),
    "specificity": ("Specificity: others left alone", True),
    "precision": ("Precision: calls that are right", True),
    "npv": ("NPV: silences that are right", True),
    "box_sensitivity": ("Opacities with a box on them", True),
    "boxes_per_normal": ("Boxes per study without opacity", False),
}
# Of the detectors in their order, on light and on dark ground: told apart by those who see fewer colours, too.
PALETTE = (
    ("#c2620a", "#f3a45c"), ("#0f8a6c", "#56cfae"), ("#b0307c", "#f08cc4"), ("#7d6608", "#d9c24a"), ("#5b6b7b", "#a9b8c8"),
)  # fmt: skip
PICTURES = ("box_places", "examples")  # figures that are no charts: dark mode leaves them as they are


@dataclass(frozen=True)
class Inputs:
    """All the page is made from.

    Attributes:
        source: where the studies come from, `fetch.source`.
        evaluation, clean, split, explain: the content of metrics/<name>.json; explain may be empty.
        curves: `roc`, `pr`, `froc`, `calibration`, the column `model` first; may be empty.
        tables: `subgroups`, `operating`; may be empty.
        histories: model -> epoch, measures.
        settings: model -> what the slider runs through, see `slider.settings`.
        galleries: see `gallery.galleries`.
        pixels, cam: study -> its image (uint8 `[S, S]`), its activation map `[h, w]`.
        explore: (name, PNG bytes) of the first look.
        params: section -> values.
        data: (file, MD5) pairs.
        packages: (package, version) pairs.
    """

    source: str
    evaluation: Mapping[str, Any]
    clean: Mapping[str, Any]
    split: Mapping[str, Any]
    explain: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame]
    tables: Mapping[str, pd.DataFrame]
    histories: Mapping[str, pd.DataFrame]
    settings: Mapping[str, pd.DataFrame]
    galleries: Sequence[Gallery]
    pixels: Callable[[str], NDArray[np.uint8]]
    cam: Callable[[str], NDArray[np.floating[Any]]]
    explore: Sequence[tuple[str, bytes]]
    params: Mapping[str, Any]
    data: Sequence[tuple[str, str]]
    packages: Sequence[tuple[str, str]]


def render(inputs: Inputs) -> str:
    """The page as HTML text.

    Raises:
        ModuleNotFoundError: Jinja is not installed; it names the extra.
    """
    extras.require("jinja2", "markupsafe", what="the report")
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("pneumonia.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _absent_as_none(percent), "number": _absent_as_none(number)}
    environment.filters |= {"interval": tables.interval, "svg": Markup}
    evaluation = inputs.evaluation
    models = [name for name in NAMES if name in evaluation]
    chosen = {model: chosen_setting(inputs.settings[model]) for model in models}
    counts = {cell: int(chosen["ensemble"][cell]) for cell in OUTCOMES}
    subgroups = inputs.tables["subgroups"]
    operating = inputs.tables["operating"]
    page = environment.get_template("report.html")
    text: str = page.render(
        source=inputs.source,
        names=NAMES,
        models=models,
        detectors={name: colour for name, colour in zip(DETECTORS, cycle(PALETTE), strict=False) if name in evaluation},
        best=evaluation["ensemble"],
        evaluation=evaluation,
        split=inputs.split,
        explain=inputs.explain,
        params=inputs.params,
        hundred=hundred({OUTCOMES[cell]: n for cell, n in counts.items()}, _hundred_words(counts)),
        per_hundred=per_hundred(counts),
        weakest={key: tables.weakest(subgroups, "ensemble", key) for key in ("sensitivity", "box_sensitivity")},
        start=int(np.argmax(inputs.settings["ensemble"]["chosen"])),
        steps=len(inputs.settings["ensemble"]),
        chosen=chosen["ensemble"],
        live=[(key, title, *_live(key, inputs, "ensemble")) for key, (title, _) in LIVE.items()],
        script_data=Markup(_script_json(slider_data(inputs, models))),
        galleries=[(kind, [_picture(case, inputs) for case in kind.cases]) for kind in inputs.galleries],
        charts=charts(inputs.curves, inputs.settings, models),
        matrices=[(NAMES[model], tables.matrix(chosen[model])) for model in models],
        forests=[(model, found) for model in models if (found := tables.forests(subgroups, model))],
        operating=[] if operating.empty else operating[operating["model"] == "ensemble"].to_dict("records"),
        measures=[
            (title, tables.present(group, evaluation, models))
            for title, group in (
                ("Studies", STUDY_MEASURES),
                ("Boxes", BOX_MEASURES),
                ("Opacities found when so many false boxes a study are allowed (FROC)", FROC_MEASURES),
            )
        ],
        comparisons=tables.comparisons(evaluation),
        histories=history_charts(inputs.histories),
        left_out=tables.left_out(inputs.clean),
        mended=tables.mended(inputs.clean),
        clean=inputs.clean,
        explore=[
            (name.replace("_", " ").capitalize(), _uri(shrink_png(data), "png"), name in PICTURES)
            for name, data in inputs.explore
        ],
        flat_params=tables.flat(inputs.params),
        data=inputs.data,
        packages=inputs.packages,
    )
    return text


def slider_data(inputs: Inputs, models: Sequence[str]) -> dict[str, Any]:
    """What the slider's script reads: per model its settings (`SETTING`), which is chosen, and the chosen one in words."""
    return {
        "truths": inputs.evaluation["holdout"]["boxes"],
        "models": {
            model: {
                "name": NAMES[model],
                "boxes": "box_threshold" in inputs.evaluation[model],
                "start": int(np.argmax(inputs.settings[model]["chosen"])),
                "chosen": {key: _live(key, inputs, model)[1] for key in LIVE},
                "rows": [[round(v, 6) for v in row] for row in inputs.settings[model][list(SETTING)].values.tolist()],
            }
            for model in models
        },
    }


def shrink_png(data: bytes, widest: int = WIDEST) -> bytes:
    """A PNG no wider than `widest` pixels, in at most 64 colours: a tenth of the bytes and as readable."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        picture = np.asarray(opened.convert("RGB"))
    if picture.shape[1] > widest:
        height = round(picture.shape[0] * widest / picture.shape[1])
        picture = cv2.resize(picture, (widest, height), interpolation=cv2.INTER_AREA)
    with io.BytesIO() as stream:
        Image.fromarray(picture).quantize(64, dither=Image.Dither.NONE).save(stream, format="png", optimize=True)
        return stream.getvalue()


def _absent_as_none(write: Callable[..., str]) -> Callable[..., str]:
    """A filter that writes a measure which is not there as it writes one without a value."""
    from jinja2 import Undefined

    return lambda value, *options: write(None if isinstance(value, Undefined) else value, *options)


def _live(key: str, inputs: Inputs, model: str) -> tuple[str, str]:
    """A measure at the chosen setting, as the slider's table shows it: the value, and the value with its interval."""
    values = inputs.evaluation[model]
    if key not in values:
        return "-", "-"
    write = percent if LIVE[key][1] else number
    text = write(values[key])
    low, high = (values.get(f"{key}_{end}") for end in ("low", "high"))
    return text, text if low is None or high is None else f"{text} ({write(low)} to {write(high)})"


def _hundred_words(counts: Mapping[str, int]) -> str:
    shares = per_hundred(counts)
    return (
        f"Of a hundred studies: {shares['true_positives']} opacities called, {shares['false_negatives']} missed, "
        f"{shares['false_positives']} false alarms, {shares['true_negatives']} rightly left alone"
    )


def _picture(case: Case, inputs: Inputs) -> dict[str, Any]:
    """What the template draws of a case: the two images, and rectangles in the images' pixels."""
    image, cam = inputs.pixels(case.study), inputs.cam(case.study)
    letter = image.shape[0] / 19
    boxes = []
    for model, rows in case.boxes.items():
        places = xyxy_to_xywh(rows[:, :4])[::-1].tolist()  # the best last, on top
        for (x, y, width, height), (score, hit) in zip(places, rows[::-1, 4:].tolist(), strict=True):
            words = {
                "y": y - letter * 0.3 if y > letter * 1.2 else y + letter,
                "x": min(x + 1, image.shape[1] - letter * WORDS),  # words that would leave the image start further left
            }
            boxes.append(
                {
                    "rectangle": _rectangle(x, y, width, height),
                    "words": {k: f"{v:.1f}" for k, v in words.items()},
                    "model": model,
                    "score": score,
                    "hit": int(hit),
                    "shown": model == "ensemble" and score >= inputs.evaluation["ensemble"]["box_threshold"],
                }
            )
    truth = [_rectangle(*box) for box in xyxy_to_xywh(case.truth).tolist()]
    share = coverage(case.truth, image.shape[0], (cam.shape[0], cam.shape[1]))
    called = case.scores["ensemble"] >= inputs.evaluation["ensemble"]["threshold"]
    placed = any(box["shown"] and box["hit"] for box in boxes)
    return {
        "number": case.number,
        "ill": case.ill,
        "facts": case.facts,
        "scores": case.scores,
        "size": image.shape[0],
        "letter": f"{letter:.1f}",
        "image": _uri(figures.jpeg(image, 85), "jpeg"),
        "cam": _uri(figures.jpeg(figures.cam_overlay(image, cam), 75), "jpeg"),
        "truth": truth,
        "boxes": boxes,
        "outcome": outcome(case.ill, called, placed),
        "lit": bool((cam > 0).any()),
        "inside": float(mass(cam[None], share[None])[0]),
        "area": float(share.mean()),
    }


def _rectangle(x: float, y: float, width: float, height: float) -> dict[str, str]:
    return {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
