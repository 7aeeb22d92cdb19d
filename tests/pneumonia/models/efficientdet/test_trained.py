"""An EfficientDet that was loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.pneumonia.models.yolo.noise import NAMES, SIZE, Store

from pneumonia.models.efficientdet.trained import load
from pneumonia.training.story import Trained


def test_detects_alike_in_any_batch(trained: tuple[Trained, Path]):
    detector = load(trained[1] / "model")
    assert detector.image_size == SIZE
    images = Store(NAMES).batch(NAMES)
    found = detector.detect(images, score_floor=0.001, nms_iou=0.3, max_detections=5)
    assert len(found) == 9
    assert sum(map(len, found)) > 0
    for one in found:
        assert one.dtype == np.float32
        assert one.shape[1] == 5
        assert len(one) <= 5
        assert ((one[:, :4] >= 0) & (one[:, :4] <= SIZE)).all()
        assert (np.diff(one[:, 4]) <= 0).all()
    alone = detector.detect(images[2:3], score_floor=0.001, nms_iou=0.3, max_detections=5)[0]
    np.testing.assert_allclose(alone, found[2], atol=1e-3)
    assert detector.detect(images[:0], score_floor=0.001, nms_iou=0.3, max_detections=5) == []
    with pytest.raises(ValueError, match=r"images must be \[B, 64, 64\], got \[1, 32, 32\]"):
        detector.detect(np.zeros((1, 32, 32), np.uint8), 0.1, 0.3, 5)
