"""A Mask R-CNN that was loaded."""

import numpy as np
import pytest
from tests.pneumonia.models.maskrcnn.ellipses import SIZE

from pneumonia.files import read_json
from pneumonia.models.maskrcnn.trained import load


def test_loaded_detector(trained):
    assert sorted(path.name for path in (trained.folder / "models").iterdir()) == ["mask_rcnn.h5", "model.json"]
    assert read_json(trained.folder / "models" / "model.json")["backbone"] == "resnet_small"
    detector = load(trained.folder / "models")
    assert detector.image_size == SIZE
    images = trained.store.batch(["t00", "t01", "t02"])
    found = detector.detect(images, 0.0, 0.3, 5)
    assert len(found) == 3
    for rows in found:
        assert rows.dtype == np.float32
        assert rows.shape[1] == 5
        assert 1 <= len(rows) <= 5
        assert (rows[:, :4] >= 0).all()
        assert (rows[:, :4] <= SIZE).all()
        assert (np.diff(rows[:, 4]) <= 0).all()
    # An image's detections do not depend on its batch, up to rounding.
    alone = detector.detect(images[1:2], 0.0, 0.3, 5)[0]
    np.testing.assert_allclose(alone, found[1], atol=0.05)
    assert [len(rows) for rows in detector.detect(images, 1.0, 0.3, 5)] == [0, 0, 0]
    with pytest.raises(ValueError, match="must be"):
        detector.detect(np.zeros((1, 32, 32), np.uint8), 0.0, 0.3, 5)
