"""The page: a set beside the internal hold-out, a row a measure. No study is named and nothing is drawn of an image."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from pneumonia.evaluation.words import BOX_MEASURES, NAMES, STUDY_MEASURES

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}"
)


def render(
    name: str, internal: Mapping[str, Any], external: Mapping[str, Any], shift: Mapping[str, Any], made_by: str
) -> str:
    """The page as HTML text.

    Arguments:
        name: of the new set, in words.
        internal, external: as metrics/evaluation.json.
        shift: as shift.json.
        made_by: what ran the models.
    """
    counts = "{studies} studies of {persons} persons, {positives} positive, {boxes} boxes"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>External validation</title><style>{_STYLE}</style>",
        f"<h1>External validation: {escape(name)}</h1>",
        "<p><strong>Research use only. Not for diagnostic use.</strong> Models and thresholds are those of the internal "
        f"evaluation; nothing was chosen on this set. Models run by {escape(made_by)}.</p>",
        f"<p>Internal hold-out: {counts.format(**internal['holdout'])}. This set: {counts.format(**external['holdout'])}.</p>",
        "<h2>What shifted</h2><table><tr><th>Prevalence of opacities<th>internal<th>this set<th>difference",
        f"<tr><td>share of studies{''.join('<td>' + _cell(shift['prevalence'], key) for key in ('internal', 'external', 'difference'))}",
        "</table><p>The chance that a study of this set scores higher than one of the internal hold-out (0.5: no shift); "
        "among positive and negative studies it does not move with prevalence.</p>",
        "<table><tr><th>Model<th>all<th>positive<th>negative",
    ]
    models = [model for model in NAMES if model in external]
    for model in models:
        cells = "".join("<td>" + _cell(shift["scores"][model], key) for key in ("all", "positive", "negative"))
        parts.append(f"<tr><td>{NAMES[model]}{cells}")
    parts.append("</table>")
    for model in models:
        parts.append(f"<h2>{NAMES[model]}</h2><table><tr><th>Measure<th>internal<th>this set<th>difference")
        for key, label in (STUDY_MEASURES | BOX_MEASURES).items():
            if key in external[model] and key in internal.get(model, {}):
                sides = (internal[model], external[model], shift["measures"][model])
                parts.append(f"<tr><td>{escape(label)}{''.join('<td>' + _cell(own, key) for own in sides)}")
        parts.append("</table>")
    parts.append(
        "<p>95% intervals by resampling persons; those of differences by MOVER (Zou and Donner 2008).</p></html>"
    )
    return "\n".join(parts) + "\n"


def _cell(values: Mapping[str, Any], key: str) -> str:
    value, low, high = (values.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return "–"
    text = f"{value:.3f}"
    return text if low is None or high is None else f"{text} ({low:.3f} to {high:.3f})"
