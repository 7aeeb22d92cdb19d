"""Beside a bundle that leaves: a model card in the form that hubs read, and the datasheet of the data it was trained on.

The words stand in `templates/`. No stage reaches this module, so that a word costs no run; figures come from the evaluation alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from pneumonia.evaluation.results import NOTHING, cell
from pneumonia.evaluation.words import BOX_MEASURES, NAMES, STUDY_MEASURES
from pneumonia.runtime.bundle import CARD, DATASHEET, Bundle
from pneumonia.schema.models import ENSEMBLE, has_boxes

TEMPLATES = Path(__file__).with_name("templates")
LIBRARIES = {
    "onnx": "onnx",
    "openvino": "openvino",
    "litert": "tflite",
    "savedmodel": "keras",
}  # by the names that hubs know
SPDX = {"MIT": "mit", "Apache-2.0": "apache-2.0", "CC-BY-4.0": "cc-by-4.0", "CC-BY-NC-4.0": "cc-by-nc-4.0"}  # the same


def write(folder: Path, made: Bundle, *, source: str, evaluation: Mapping[str, Any] | None) -> None:
    """Write the card and the datasheet into a bundle's folder.

    Arguments:
        source: where the studies come from, `fetch.source` of params.yaml.
        evaluation: content of metrics/evaluation.json, of these models; None: the card has no figures.
    """
    (folder / CARD).write_text(card(made, source=source, evaluation=evaluation), encoding="utf-8")
    (folder / DATASHEET).write_text(datasheet(source), encoding="utf-8")


def card(made: Bundle, *, source: str, evaluation: Mapping[str, Any] | None) -> str:
    """The card's text, front matter first."""
    drawn = source == "synthetic"
    return _template("card.md").substitute(
        licence=SPDX.get(made.licence, "other\nlicense_name: see-the-end-of-this-card"),
        licence_said=made.licence,
        library=LIBRARIES[made.format],
        pipeline="object-detection" if has_boxes(made.kind) else "image-classification",
        name=NAMES[made.kind],
        kind=made.kind,
        format=made.format,
        gives="boxes with scores" if has_boxes(made.kind) else "one score a study, and a map of what moved it",
        size=made.image_size,
        operating_point="none was chosen" if made.operating_point is None else f"{made.operating_point:.6f}",
        trained_on="phantoms of chest radiographs, drawn by the pipeline: no patient is behind them, and nothing follows for any"
        if drawn
        else "studies of the RSNA Pneumonia Detection Challenge, or of other data in its layout; see DATASHEET.md",
        parity=", ".join(f"{key} {value}" for key, value in made.parity.items()),
        figures=_figures(made.kind, evaluation, drawn),
    )


def datasheet(source: str) -> str:
    """The datasheet's text: of the phantom, or of the challenge's data."""
    if source == "synthetic":
        return _template("datasheet-synthetic.md").substitute()
    of_others = "" if source == "kaggle" else _template("datasheet-local.md").substitute() + "\n"
    return of_others + _template("datasheet-challenge.md").substitute()


def _figures(kind: str, evaluation: Mapping[str, Any] | None, drawn: bool) -> str:
    models = [name for name in (kind, ENSEMBLE) if evaluation and name in evaluation]
    if not evaluation or not models:
        return "None are given: no evaluation lay beside the models when this card was written."
    counts = "{studies} studies of {persons} persons, {positives} positive, {boxes} boxes".format(
        **evaluation["holdout"]
    )
    lines = [
        f"Of the hold-out ({counts}{'; phantoms' if drawn else ''}), which no training and no choice has seen. In brackets 95% intervals "
        "by resampling persons; they hold the chance of these persons alone, not of another training or another hospital.",
        "",
        f"| measure | {' | '.join(NAMES[name] for name in models)} |",
        "|---" * (len(models) + 1) + "|",
    ]
    for key, label in (STUDY_MEASURES | BOX_MEASURES).items():
        cells = [cell(evaluation[name], key) for name in models]
        if set(cells) != {NOTHING}:
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _template(name: str) -> Template:
    return Template((TEMPLATES / name).read_text(encoding="utf-8"))
