"""The same params and data give the same bytes: in another clone, and after `kill -9` in the middle of every training."""

from pathlib import Path

import pytest
from tests.pipeline import clone, kill_when, ran, run

pytestmark = pytest.mark.slow


def epochs_kept(copy: Path, model: str) -> list[Path]:
    """The state that a training leaves after each epoch, and removes when it is done."""
    return list((copy / "state" / model).glob("*.npz"))


def test_a_clone_killed_in_every_training_ends_with_the_same_bytes(project: Path, tmp_path: Path):
    copy = clone(project, tmp_path / "elsewhere")
    for model in ("classifier", "maskrcnn", "yolo", "efficientdet"):
        assert kill_when(copy, lambda model=model: epochs_kept(copy, model), "dvc", "repro"), f"{model} was not caught"
        assert epochs_kept(copy, model)
        assert not (copy / "models" / model).exists()
    output = run(copy, "dvc", "repro")
    # Those before were done in the runs that were killed; this one went on where the last was killed.
    assert {"train_efficientdet", "predict_efficientdet", "ensemble", "report", "submission"} <= ran(output)
    assert not ran(output) & {"fetch", "train_classifier", "train_maskrcnn", "train_yolo"}
    assert not epochs_kept(copy, "efficientdet")
    # dvc.lock has the hash of every output, down to models and report; metrics and plots are in git themselves.
    assert run(copy, "git", "status", "--porcelain") == ""
