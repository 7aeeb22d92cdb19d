"""Mask R-CNN learns to find bright ellipses."""

import keras
import numpy as np
import pytest
from tests.pneumonia.models.maskrcnn.ellipses import fit, made_up

from keraskit.average_precision import average_precision
from pneumonia.models.maskrcnn.trained import load


def test_metrics_and_history(trained):
    metrics, history = trained.result
    assert [row["epoch"] for row in history] == [1, 2]
    assert {"loss", "rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "val_ap50"} <= set(
        history[0]
    )
    assert trained.seen == [(1, history[0]), (2, history[1])]
    assert metrics["train_studies"] == 10
    assert metrics["train_positives"] == 8
    assert metrics["ap50"] == max(row["val_ap50"] for row in history)
    assert 0.5 <= metrics["anchor_recall"] <= 1
    assert not list(trained.folder.glob("state*"))


@pytest.mark.slow
def test_overfit(tmp_path):
    store, studies, boxes = made_up(8, 128)
    keras.utils.set_random_seed(1)
    result = fit(store, studies, boxes, tmp_path / "models", epochs=40, rpn_train_anchors=64, train_rois=32)
    assert result.metrics["ap50"] >= 0.95

    names = studies[studies.subset == "train"].study.tolist()
    truths = [store.to_resized(name, boxes.loc[boxes.study == name, ["x", "y", "width", "height"]]) for name in names]

    def detections():
        return load(tmp_path / "models").detect(store.batch(names), 0.05, 0.3, 10)

    exact = detections()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = detections()
    finally:
        keras.config.set_dtype_policy("float32")
    assert average_precision(half, truths) >= 0.95
    for a, b in zip(exact, half, strict=True):
        for box in a[a[:, 4] > 0.5]:  # each is found again, in its place to two pixels and with its score
            distance = np.abs(b[:, :4] - box[:4]).max(axis=1)
            assert distance.min() < 2
            assert b[distance.argmin(), 4] == pytest.approx(box[4], abs=0.1)
