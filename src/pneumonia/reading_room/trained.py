"""Whether the trained models are there; asked before anything heavy is imported or opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pneumonia.schema.training import DESCRIPTION


def require(models: Path, names: Sequence[str]) -> None:
    """Say what to do where a trained model is missing in the folder `models`.

    Raises:
        ValueError: one is missing; names its folder.
    """
    for name in names:
        if not (models / name / DESCRIPTION).is_file():
            raise ValueError(f"there is no trained model at {models / name}; run `dvc repro` (or `dvc pull`) first")


def key(models: Path, *, threshold: float, **params: Any) -> str:
    """What a reader of the models in the folder `models` would read with, told by their files, which are not loaded.

    Arguments:
        threshold: the operating point.
        params: as `pneumonia.reading_room.objects.findings.this_algorithm` takes them.
    """
    from pneumonia.reading_room.objects.findings import this_algorithm

    made_by = this_algorithm(models, **params)
    return f"{made_by.version} {made_by.digest} {made_by.settings} {threshold:.6f}"
