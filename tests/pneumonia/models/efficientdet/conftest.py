"""One small training for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pneumonia.models.efficientdet.noise import fit

from pneumonia.training.story import Trained


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    """What it returned, and its folder."""
    folder = tmp_path_factory.mktemp("efficientdet")
    return fit(folder / "model", folder / "state/run.npz"), folder
