"""The curves of a training as a picture. PNG bytes depend on the history only: no date, no name of a software."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def training_curves(history: pd.DataFrame, title: str) -> bytes:
    """PNG of a training's history.

    Arguments:
        history: column epoch and others, each drawn against it; losses left, other measures right.
    """
    figure, axes = _figure(title, "epoch", "loss")
    other = axes.twinx()
    for number, name in enumerate(column for column in history.columns if column != "epoch"):
        target, style = (axes, "-") if "loss" in name else (other, "--")
        target.plot(history["epoch"], history[name], style, color=f"C{number}", label=name, linewidth=1.6)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return _save(figure)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure  # not pyplot: no display, no state shared between figures

    figure = Figure(figsize=(6, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel(x.replace("_", " "))
    axes.set_ylabel(y.replace("_", " "))
    return figure, axes


def _save(figure: Figure) -> bytes:
    metadata: Mapping[str, None] = {"Software": None}  # Matplotlib's version would be part of the bytes
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", metadata=metadata)
        return stream.getvalue()
