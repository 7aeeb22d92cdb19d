"""Exported models answer as trained ones do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.pneumonia.runtime.tiny import OPTIONS, SIZE, write_bundle

from pneumonia.runtime.models import LARGEST_BATCH, load


def images(count: int) -> np.ndarray:
    """Grey values 0, 51, 0, 51, ..."""
    return np.repeat(np.arange(count) % 2 * 51, SIZE * SIZE).astype(np.uint8).reshape(count, SIZE, SIZE)


def test_a_classifier(tmp_path: Path):
    write_bundle(tmp_path / "classifier", "classifier")
    model = load(tmp_path / "classifier")
    assert model.image_size == SIZE
    scores, maps = model.predict(images(LARGEST_BATCH + 2))  # in two parts
    np.testing.assert_allclose(scores, [0.0, 0.2] * (LARGEST_BATCH // 2 + 1), rtol=1e-6)
    assert maps.shape == (LARGEST_BATCH + 2, 1, 1)
    scores, maps = model.predict(images(0))
    assert (scores.shape, maps.shape) == ((0,), (0, 1, 1))


def test_a_detector(tmp_path: Path):
    write_bundle(tmp_path / "yolo", "yolo")
    model = load(tmp_path / "yolo", threads=1)
    found = model.detect(images(LARGEST_BATCH + 2), **OPTIONS)
    assert [rows.tolist() for rows in found] == [[], [[8, 4, 24, 16, 0.75]]] * (LARGEST_BATCH // 2 + 1)
    assert all(rows.dtype == np.float32 and rows.shape[1] == 5 for rows in found)
    assert model.detect(images(0), **OPTIONS) == []
    with pytest.raises(
        ValueError, match=r"the exported graph holds \{.*0\.3.*\}, wanted \{.*0\.5.*\}: export the model again"
    ):
        model.detect(images(1), **(OPTIONS | {"nms_iou": 0.5}))
    with pytest.raises(ValueError, match=r"images must be \[B, 32, 32\], got \[1, 64, 64\]"):
        model.detect(np.zeros((1, 64, 64), np.uint8), **OPTIONS)
