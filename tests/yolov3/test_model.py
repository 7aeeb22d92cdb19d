"""The whole model: against OpenCV's numbers, and overfitting a few images."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tests.places import DATA, SHARED

from keraskit.average_precision import average_precision
from keraskit.training.optimizers import adamw
from yolov3 import architectures, cfg, network, weights
from yolov3.cfg import Convolutional, Description, Yolo
from yolov3.decode import decode
from yolov3.model import Detector, to_unit
from yolov3.model import Yolo as YoloModel

ORACLE = DATA / "yolov3_tiny_416.npz"  # made by OpenCV's Darknet importer
COCO = SHARED / "weights/yolov3-tiny.weights"


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_decode_agrees_with_opencv():
    oracle = np.load(ORACLE)
    description = architectures.describe("yolov3-tiny", 416, 80)
    heads = [oracle[name].transpose(0, 2, 3, 1) for name in ("conv_13", "conv_26")]
    compare(decode(heads, description, 416)[0], oracle)


@pytest.mark.skipif(not COCO.exists(), reason=f"{COCO} is missing")
def test_heads_agree_with_opencv():
    oracle = np.load(ORACLE)
    description = architectures.describe("yolov3-tiny", 416, 80)
    net = network.build(description)
    weights.load(net, COCO)
    heads = network.forward(net, to_unit(oracle["rgb"][None], 3))
    for head, name in zip(heads, ("conv_13", "conv_26"), strict=True):
        found = keras.ops.convert_to_numpy(head).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, oracle[name], atol=1e-3, rtol=0)
    compare(decode(heads, description, 416)[0], oracle)


def compare(predictions, oracle) -> None:
    reference = np.concatenate([oracle["region_13"], oracle["region_26"]])
    boxes = keras.ops.convert_to_numpy(predictions.boxes)[0] / 416
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    np.testing.assert_allclose(np.c_[centres, boxes[:, 2:] - boxes[:, :2]], reference[:, :4], atol=1e-4, rtol=0)
    objectness = sigmoid(keras.ops.convert_to_numpy(predictions.objectness)[0])
    np.testing.assert_allclose(objectness, reference[:, 4], atol=1e-4, rtol=0)
    scores = objectness[:, None] * sigmoid(keras.ops.convert_to_numpy(predictions.classes)[0])
    shown = np.abs(scores - 0.2) > 1e-4  # OpenCV zeroes scores up to 0.2
    np.testing.assert_allclose(np.where(scores > 0.2, scores, 0)[shown], reference[:, 5:][shown], atol=1e-4, rtol=0)


def test_gray_is_repeated_and_bytes_are_scaled():
    gray = np.array([[[0, 51], [102, 255]]], np.uint8)
    unit = keras.ops.convert_to_numpy(to_unit(gray, 3))
    assert unit.shape == (1, 2, 2, 3)
    np.testing.assert_allclose(unit[0, :, :, 2], [[0, 0.2], [0.4, 1]], atol=1e-6)
    np.testing.assert_array_equal(unit, keras.ops.convert_to_numpy(to_unit(gray[..., None], 3)))
    np.testing.assert_array_equal(unit, keras.ops.convert_to_numpy(to_unit(np.repeat(gray[..., None], 3, -1), 3)))


def test_an_untrained_head_says_empty():
    net = network.build(architectures.describe("yolov3-tiny", 64, 3))
    bias = np.asarray(net.get_layer("conv_15").bias).reshape(3, 8)
    np.testing.assert_allclose(sigmoid(bias[:, 4]), 0.01, atol=1e-6)
    np.testing.assert_allclose(sigmoid(bias[:, 5:]), 1 / 3, atol=1e-6)
    np.testing.assert_array_equal(bias[:, :4], 0)


def test_strided_convolution_pads_both_sides():
    # 3 x 3, stride 2, all ones: the first output sees 2 x 2 of the image, as a row and a column of zeros precede it
    description = Description(4, 4, 1, (Convolutional(6, 3, 2, 1, False, "linear"), Yolo((0,), ((1.0, 1.0),), 1)))
    net = network.build(description)
    net.get_layer("conv_0").kernel.assign(np.ones((3, 3, 1, 6)))
    net.get_layer("conv_0").bias.assign(np.zeros(6))
    found = keras.ops.convert_to_numpy(network.forward(net, np.ones((1, 4, 4, 1), np.float32))[0])[0, :, :, 0]
    assert found.tolist() == [[4, 6], [6, 9]]


def test_detections_are_by_class(small: str):
    """Two anchors of one shape, same box, different class: both stay; same class: the better stays."""
    description = Description(
        64, 64, 3, (Convolutional(14, 32, 32, 0, False, "linear"), Yolo((0, 1), ((20, 20), (20, 20)), 2))
    )
    net = network.build(description)
    net.get_layer("conv_0").kernel.assign(np.zeros((32, 32, 3, 14)))
    raw = np.full((2, 7), -20.0, np.float32)
    raw[:, :4] = 0
    raw[0, [4, 5]] = 20, 0  # objectness 1, class 0 with 0.5
    raw[1, [4, 6]] = 20, np.log(3)  # class 1 with 0.75
    net.get_layer("conv_0").bias.assign(raw.reshape(-1))
    detector = Detector(net, description, 0.3, 0.5, 20)
    found = detector.detect(np.zeros((1, 64, 64), np.uint8))[0]
    assert found["classes"].tolist() == [1] * 4 + [0] * 4  # four cells each
    np.testing.assert_allclose(found["scores"], [0.75] * 4 + [0.5] * 4, atol=1e-5)
    np.testing.assert_allclose(found["boxes"][0], [6, 6, 26, 26], atol=1e-4)

    raw[0, [5, 6]] = -20, 0
    net.get_layer("conv_0").bias.assign(raw.reshape(-1))
    found = detector.detect(np.zeros((1, 64, 64), np.uint8))[0]
    assert found["classes"].tolist() == [1] * 4
    np.testing.assert_allclose(found["scores"], [0.75] * 4, atol=1e-5)


def test_frozen_layers():
    net = network.build(cfg.parse(cfg.to_text(architectures.describe("yolov3-tiny", 64, 1))))
    network.set_trainable(net, False, before=15)
    free = {layer.name for layer in net.layers if layer.trainable_weights}
    assert free == {"conv_15", "conv_18", "norm_18", "conv_21", "norm_21", "conv_22"}
    network.set_trainable(net, True, before=15)
    assert len(net.trainable_weights) == 2 * 2 + 11 * 3


def eight_images() -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright ellipse each in the boxes: four images with two boxes, two with one, two with none."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 60, (8, 96, 96)).astype(np.uint8)
    boxes = np.zeros((8, 2, 4), np.float32)
    y, x = np.mgrid[:96, :96] + 0.5
    for image, count in enumerate((2, 2, 2, 2, 1, 1, 0, 0)):
        for side in range(count):
            left, top = rng.uniform(4, 14) + 46 * side, rng.uniform(4, 40)
            width, height = rng.uniform(20, 32), rng.uniform(24, 48)
            boxes[image, side] = left, top, left + width, top + height
            inside = ((x - left) / width - 0.5) ** 2 + ((y - top) / height - 0.5) ** 2 < 0.25
            images[image][inside] += 90
    return images, boxes


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["ciou", "darknet"])
def test_eight_images_are_learnt_by_heart(loss: str):
    """Both boxes of each of the four images are found."""
    anchors = tuple((float(w), float(h)) for w, h in ((20, 28), (24, 40), (30, 32)))
    description = Description(
        96,
        96,
        3,
        (
            Convolutional(16, 3, 2, 1),
            Convolutional(32, 3, 2, 1),
            Convolutional(64, 3, 2, 1),
            Convolutional(64, 3, 2, 1),
            Convolutional(64, 3, 1, 1),
            Convolutional(18, 1, batch_normalize=False, activation="linear"),
            Yolo((0, 1, 2), anchors, 1),
        ),
    )
    images, boxes = eight_images()
    model = YoloModel(description, loss=loss, seed=1)
    model.compile(optimizer=adamw(0.005, 200, 0.1, 0.0005, 5.0), jit_compile=False)
    for _ in range(200):
        model.train_on_batch(images, boxes)
    detector = Detector(model.network, description, 0.01, 0.3, 20)
    found = [np.c_[one["boxes"], one["scores"]] for one in detector.detect(images)]
    truths = [own[own[:, 2] > own[:, 0]] for own in boxes]
    assert average_precision(found, truths) >= 0.95
    assert [int((one[:, 4] >= 0.5).sum()) for one in found] == [2, 2, 2, 2, 1, 1, 0, 0]


def two_losses(jit: bool = False) -> list[float]:
    """The loss of a small untrained network on eight images, and after a step on them."""
    trunk = (Convolutional(16, 3, 2, 1), Convolutional(32, 3, 2, 1), Convolutional(64, 3, 2, 1))
    head = Convolutional(12, 1, batch_normalize=False, activation="linear")
    anchors = ((24.0, 36.0), (32.0, 28.0))
    model = YoloModel(Description(96, 96, 3, (*trunk, head, Yolo((0, 1), anchors, 1))), seed=1)
    model.compile(optimizer=adamw(0.01, 10), jit_compile=jit)
    images, boxes = eight_images()
    return [float(model.train_on_batch(images, boxes, return_dict=True)["loss"]) for _ in range(2)]


def test_bfloat16_and_xla():
    single = two_losses()
    assert single[1] < single[0]
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = two_losses()
    finally:
        keras.config.set_dtype_policy("float32")
    assert half[0] == pytest.approx(single[0], rel=0.05)  # 8 bits of mantissa
    assert half[1] < half[0]
    if keras.backend.backend() == "tensorflow":  # on JAX the others are compiled with XLA; PyTorch has none
        np.testing.assert_allclose(two_losses(jit=True), single, rtol=1e-3)
