"""metrics/evaluation.json as a table for a terminal or a README: a row a measure, a column a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pneumonia.evaluation.words import BOX_MEASURES, FROC_MEASURES, NAMES, STUDY_MEASURES
from pneumonia.schema.models import EVALUATED
from pneumonia.text import aligned

NOTHING = "–"


def table(evaluation: Mapping[str, Any], *, markdown: bool = False) -> str:
    """Every measure with its 95% interval, of the models that were evaluated; then what they were evaluated on.

    Arguments:
        evaluation: content of metrics/evaluation.json.
        markdown: a table of GitHub's kind instead of aligned columns.
    """
    models = [name for name in EVALUATED if name in evaluation]
    froc = {key: f"FROC at {label}" for key, label in FROC_MEASURES.items() if key != "froc_mean"}
    measures = STUDY_MEASURES | BOX_MEASURES | froc
    rows = [["holdout", *(NAMES[name] for name in models)]]
    for key, label in measures.items():
        cells = [cell(evaluation[name], key) for name in models]
        if set(cells) != {NOTHING}:
            rows.append([label, *cells])
    counts = "{studies} studies of {persons} persons, {positives} positive, {boxes} boxes".format(
        **evaluation["holdout"]
    )
    return f"{_markdown(rows) if markdown else aligned(rows)}\n\n{counts}; in brackets 95% intervals"


def cell(measures: Mapping[str, Any], key: str) -> str:
    """`0.84 (0.77 to 0.90)`; the value alone where its interval is unknown or as narrow as the digits shown."""
    value, low, high = (measures.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return NOTHING
    if low is None or high is None or f"{low:.2f}" == f"{high:.2f}":
        return f"{value:.2f}"
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
