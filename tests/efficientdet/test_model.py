"""EfficientDet as a model: it learns, in other precisions and on every backend, and finds what it learnt."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from tests.efficientdet.tiny import SIZE, model

from efficientdet.model import Detector


def bright_squares(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, SIZE, SIZE)).astype(np.uint8)
    boxes = np.zeros((count, 2, 4), np.float32)
    for image, own in zip(images, boxes, strict=True):
        x, y = rng.integers(0, SIZE - 20, 2)
        image[y : y + 20, x : x + 20] += 180
        own[0] = x, y, x + 20, y + 20
    return images, boxes


@pytest.fixture(scope="module")
def trained():
    made = model()
    made.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False)
    images, boxes = bright_squares(16)
    history = made.fit(images, boxes, batch_size=8, epochs=30, verbose=0).history
    return made, history


def test_it_learns(trained):
    _, history = trained
    assert set(history) == {"loss", "class_loss", "box_loss"}
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["loss"][0] == pytest.approx(history["class_loss"][0] + history["box_loss"][0], rel=1e-4)


def test_it_finds_what_it_learnt(trained):
    images, boxes = bright_squares(16)
    found = Detector(trained[0], score_floor=0.05, nms_iou=0.3, max_detections=5).detect(images)
    from keraskit.boxes.arrays import iou

    hits = [bool(len(f["boxes"])) and iou(f["boxes"][:1], b[:1])[0, 0] > 0.5 for f, b in zip(found, boxes, strict=True)]
    assert np.mean(hits) >= 0.75
    for own in found:
        assert (np.diff(own["scores"]) <= 0).all()
        assert ((own["boxes"] >= 0) & (own["boxes"] <= SIZE)).all()
        assert (own["classes"] == 0).all()


def test_the_loss_of_the_first_step_by_hand():
    """An untrained network says 0.01 everywhere: without a box each anchor costs 7.5e-6, and all are divided by the images."""
    made = model()
    made.compile(optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    for name in ("class", "box"):
        layer = made.network.get_layer(f"{name}_predict")
        depthwise, pointwise, bias = layer.get_weights()
        layer.set_weights([depthwise, 0 * pointwise, bias])
    loss = made.evaluate(np.zeros((2, SIZE, SIZE), np.uint8), np.zeros((2, 1, 4), np.float32), verbose=0)
    loss = loss[0] if isinstance(loss, list) else loss
    assert loss == pytest.approx(len(made.anchors) * 7.53775e-6, rel=1e-3)


def test_a_frozen_backbone_stays_as_it_is():
    made = model()
    frozen = made.network.get_layer("stride8")
    before = frozen.get_weights()[0].copy()
    images, boxes = bright_squares(4)
    for trains in (False, True):
        made.train_backbone(trains)
        made.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
        made.fit(images, boxes, batch_size=4, epochs=1, verbose=0)
        assert np.array_equal(frozen.get_weights()[0], before) is not trains


def test_norm_of_each_image_does_not_depend_on_the_batch():
    images, _ = bright_squares(4)
    for norm, alike in (("group", True), ("batch", False)):
        made = model(norm)
        alone = ops.convert_to_numpy(made(images[:1], training=True)[0])
        together = ops.convert_to_numpy(made(images, training=True)[0])[:1]
        assert np.allclose(alone, together, atol=1e-4) is alike


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_bfloat16(norm: str):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        made = model(norm)
    finally:
        keras.config.set_dtype_policy(before)
    images, boxes = bright_squares(4)
    made.compile(optimizer=keras.optimizers.Adam(0.001), jit_compile=False)
    logs = made.fit(images, boxes, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    exact = model(norm)
    exact.set_weights(made.get_weights())
    scores = [ops.convert_to_numpy(ops.sigmoid(own(images)[0])) for own in (made, exact)]
    np.testing.assert_allclose(*scores, atol=0.01)
