"""The pipeline's EfficientDet: trained on a few studies and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.pneumonia.models.efficientdet.noise import fit

from pneumonia import files
from pneumonia.models.efficientdet.training import HEADS
from pneumonia.training.story import Trained


def test_reports(trained: tuple[Trained, Path]):
    metrics, history = trained[0]
    assert [row["epoch"] for row in history] == [1, 2]
    assert set(history[0]) == {"epoch", "loss", "class_loss", "box_loss", "learning_rate", "val_ap50"}
    assert (metrics["epochs"], metrics["train_studies"], metrics["train_positives"]) == (2, 4, 2)
    # 20 x 25 at half size, middle 15, 22.5; the anchor of P3 with side 24 * 2^(0/3) at 12, 20 overlaps by about 0.6
    assert metrics["anchor_recall"] == 1.0
    assert metrics["ap50"] == max(row["val_ap50"] for row in history)


def test_writes_what_rebuilds_it_and_no_state(trained: tuple[Trained, Path]):
    folder = trained[1]
    assert sorted(path.name for path in (folder / "model").iterdir()) == ["model.json", "model.weights.h5"]
    assert files.read_json(folder / "model/model.json") == {
        "image_size": 64, "size": "d0", "backbone": "resnet_small", "frozen_norm": False, "norm": "group", "scale": 3.0,
        "ratios": [1.0],
    }  # fmt: skip
    assert not list((folder / "state").iterdir())


@pytest.mark.slow
def test_same_seed_same_numbers(trained: tuple[Trained, Path], tmp_path: Path):
    fit(tmp_path / "model")
    first, second = (folder / "model/model.weights.h5" for folder in (trained[1], tmp_path))
    assert first.read_bytes() == second.read_bytes()


def test_the_heads_are_all_that_is_not_the_backbones(trained: tuple[Trained, Path]):
    import re

    from pneumonia.models.backbones import pyramid
    from pneumonia.models.efficientdet.network import build

    described = files.read_json(trained[1] / "model/model.json")
    backbone = sum(int(np.prod(v.shape)) for v in pyramid.build("resnet_small", 64).weights)
    own = build(described).network
    assert sum(int(np.prod(v.shape)) for v in own.weights if not re.search(HEADS, v.path)) == backbone
    assert trained[0].metrics["parameters"] == own.count_params()
