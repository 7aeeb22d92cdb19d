"""Whether the trained models are there; asked before anything heavy is imported or opened."""

from __future__ import annotations

from pathlib import Path

from pneumonia.schema.models import MODELS
from pneumonia.schema.training import DESCRIPTION


def require(models: Path) -> None:
    """Say what to do where a trained model is missing in the folder `models`.

    Raises:
        ValueError: one is missing; names its folder.
    """
    for name in MODELS:
        if not (models / name / DESCRIPTION).is_file():
            raise ValueError(f"there is no trained model at {models / name}; run `dvc repro` (or `dvc pull`) first")
