"""What a training leaves on disk, a file or folder a model."""

from __future__ import annotations

from collections.abc import Iterable

from pneumonia.schema.table import Table

MODELS = "models"  # a folder a model
DESCRIPTION = "model.json"  # in a model's folder: what rebuilds it
EXPORTED = "exported"  # in the folder of the models: a bundle a model, see pneumonia.runtime.bundle
BACKBONE = "backbone"  # in the folder of the models: what the word `pretrained` of a param `weights` means
PRETRAINED, BACKBONE_WEIGHTS = "pretrained", f"{MODELS}/{BACKBONE}/backbone.npz"
STATE = "state"  # a folder a model: resume files, gone at a training's end

METRICS = "metrics/{model}.json"
HISTORY = "plots/history/{model}.csv"


def history(measures: Iterable[str]) -> Table:
    """The table of a training's epochs; `measures`, its float columns after `epoch`, differ by model."""
    decimals = {name: 8 if name == "learning_rate" else 6 for name in measures}
    return Table(HISTORY, {"epoch": "int"} | dict.fromkeys(decimals, "float"), decimals)
