"""The public calls on a tiny network, boxes and masks: train, weights, detect; what learns in which phase."""

import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from tests.mrcnn.tiny import Boxes, TinyConfig

from mrcnn import model as modellib
from mrcnn import weights
from mrcnn.config import Config
from mrcnn.dataset import DataGenerator
from mrcnn.network import Network

OUTSIDE = {  # layers that must not learn in a phase
    "heads": r"res\d",
    "3+": r"res[12]",
    "4+": r"res[123]",
    "5+": r"res[1234]",
    "all": r"(?!)",
}


@pytest.fixture(scope="module")
def dataset():
    dataset = Boxes()
    dataset.prepare_made_up(6)
    return dataset


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = modellib.MaskRCNN("training", TinyConfig(), tmp_path_factory.mktemp("logs"))
    model.train(dataset, dataset, learning_rate=0.001, epochs=1, layers="heads")
    model.train(dataset, dataset, learning_rate=0.001, epochs=2, layers="all")
    return model


def test_training_writes_each_epoch(trained):
    assert [path.name for path in sorted(Path(trained.log_dir).glob("*.h5"))] == [
        "mask_rcnn_tiny_0001.h5",
        "mask_rcnn_tiny_0002.h5",
    ]
    assert trained.find_last().endswith("mask_rcnn_tiny_0002.h5")
    log = (Path(trained.log_dir) / "log.csv").read_text().splitlines()
    assert {"epoch", "loss", "mrcnn_mask_loss", "val_loss", "val_rpn_bbox_loss"} <= set(log[0].split(","))


def test_written_weights_give_bit_equal_outputs(trained, tmp_path):
    path = tmp_path / "weights.h5"
    trained.save_weights(path)
    one, two = (modellib.MaskRCNN("inference", TinyConfig(), tmp_path) for _ in range(2))
    one.load_weights(trained.find_last())
    two.load_weights(path, by_name=True)
    image = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype("float32")
    metas = one.mold_inputs([image[0], image[1]])[1]
    for a, b in zip(one._predict(image, metas), two._predict(image, metas), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.epoch == 2
    again = tmp_path / "again.h5"
    trained.save_weights(again)
    assert again.read_bytes() == path.read_bytes()


def test_detect_any_size_and_number(trained, dataset, tmp_path):
    model = modellib.MaskRCNN("inference", TinyConfig(), tmp_path)
    model.load_weights(trained.find_last())
    results = model.detect([dataset.load_image(0), np.zeros((100, 30, 3), np.uint8), dataset.load_image(1)])
    assert len(results) == 3
    for result, shape in zip(results, [(48, 64), (100, 30), (48, 64)], strict=True):
        count = len(result["rois"])
        assert result["masks"].shape == (*shape, count)
        assert result["rois"].shape == (count, 4)
        assert set(result["class_ids"]) <= {1, 2}
        assert (result["rois"][:, 2:] <= shape).all()
        assert (np.diff(result["scores"]) <= 0).all()


def test_weights_that_do_not_fit_are_listed(trained, tmp_path):
    class Other(TinyConfig):
        NUM_CLASSES = 5

    model = modellib.MaskRCNN("inference", Other(), tmp_path)
    with pytest.raises(
        ValueError, match=r"mrcnn_bbox_fc/kernel:0: \(12, 12\) in the file, \(12, 20\) in the model"
    ) as e:
        model.load_weights(trained.find_last(), by_name=True)
    assert "mrcnn_mask/bias:0" in str(e.value)
    model.load_weights(trained.find_last(), by_name=True, exclude=["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"])
    with pytest.raises(FileNotFoundError, match="put"):
        model.load_weights(tmp_path / "none.h5")
    (tmp_path / "bad.h5").write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match="not an HDF5 weight file"):
        model.load_weights(tmp_path / "bad.h5")


def test_layers_that_only_one_side_has_are_counted(trained, tmp_path):
    class BoxesOnly(TinyConfig):
        USE_MASKS = False

    class Coarser(TinyConfig):
        BACKBONE_STRIDES = (16, 32)
        RPN_ANCHOR_SCALES = (24, 48)

    whole, boxes = (modellib.MaskRCNN("inference", c(), tmp_path) for c in (TinyConfig, BoxesOnly))
    with pytest.warns(
        UserWarning, match=r"18 layers are set; 10 of the file are not in the model \(mrcnn_mask_conv1, mrc"
    ):
        boxes.load_weights(trained.find_last(), by_name=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is left out by name needs no word
        boxes.load_weights(trained.find_last(), exclude=[part.name for part in whole.network.mask_head.parts])
    boxes.save_weights(tmp_path / "boxes.h5")
    with pytest.warns(
        UserWarning, match=r"18 layers are set; 10 of the model are not in the file and stay as they are \("
    ):
        whole.load_weights(tmp_path / "boxes.h5", by_name=True)
    with pytest.raises(ValueError, match=r"10 times.*\n  mrcnn_mask_conv1: not in the file"):
        whole.load_weights(tmp_path / "boxes.h5")
    coarser = modellib.MaskRCNN("inference", Coarser(), tmp_path)
    with pytest.warns(UserWarning, match=r"26 layers are set; 2 of the file are not in the model \(fpn_c3p3, fpn_p3\)"):
        coarser.load_weights(trained.find_last(), by_name=True)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="elsewhere")])
    weights.save(other, tmp_path / "other.h5")
    with pytest.raises(
        ValueError, match=r"none of the model's 28 layers \(res1, .*\.\.\.\); its 1 layers are elsewhere"
    ):
        whole.load_weights(tmp_path / "other.h5", by_name=True)


@pytest.mark.parametrize("scales", [(16,), (16, 24)])
def test_a_training_with_fewer_scales_than_levels(dataset, tmp_path, scales):
    class Fewer(TinyConfig):
        RPN_ANCHOR_SCALES = scales
        STEPS_PER_EPOCH = 1

    model = modellib.MaskRCNN("training", Fewer(), tmp_path)
    history = model.train(dataset, dataset, learning_rate=0.001, epochs=1, layers="all")
    assert np.isfinite(history.history["loss"]).all()
    assert len(model.anchors) == sum(3 * (64 // stride) ** 2 for stride in (8, 16)[: len(scales)])
    found = modellib.MaskRCNN("inference", Fewer(), tmp_path)
    found.load_weights(model.find_last())
    assert found.detect([dataset.load_image(0)])[0]["masks"].shape[:2] == (48, 64)


def test_batches_are_reproducible_and_hold_negatives(dataset):
    config = TinyConfig()
    one, two = DataGenerator(dataset, config, epoch=3), DataGenerator(dataset, config, epoch=3)
    counts = []
    for index in range(one.num_batches):
        a, b = one[index], two[index]
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
        counts += (a["input_gt_class_ids"] > 0).sum(axis=1).tolist()
    assert sorted(counts) == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(("layers", "outside"), OUTSIDE.items())
def test_a_gradient_reaches_what_learns_and_nothing_else(dataset, layers, outside):
    class WithoutDecay(TinyConfig):
        WEIGHT_DECAY = 0.0  # which moves a weight without a gradient of the losses

    keras.utils.set_random_seed(0)
    model = Network(WithoutDecay()).training_model()
    names = weights.set_trainable(model, modellib.LAYERS[layers])
    assert not any(re.fullmatch(outside, name) for name in names)
    expected = {
        v.path
        for outer in weights.weighted_layers(model)
        for leaf in weights.leaf_layers(outer)
        if not re.fullmatch(outside, leaf.name)
        for v in leaf.weights
        if "moving" not in v.name
    }
    assert {variable.path for variable in model.trainable_variables} == expected
    model.compile(optimizer=keras.optimizers.SGD(1000.0), run_eagerly=True)  # no gradient is lost to rounding
    before = {variable.path: ops.convert_to_numpy(variable) for variable in model.variables}
    model.train_on_batch(DataGenerator(dataset, WithoutDecay())[0])
    moved = {v.path for v in model.variables if (ops.convert_to_numpy(v) != before[v.path]).any()}
    assert moved - {v.path for v in model.optimizer.variables} == expected


def first_loss(dataset, jit=False):
    """Loss of the untrained model on one batch, and after a step on it."""
    keras.utils.set_random_seed(0)
    model = Network(TinyConfig()).training_model()
    model.compile(optimizer=keras.optimizers.SGD(0.0001), jit_compile=jit)
    batch = DataGenerator(dataset, TinyConfig())[0]
    return [float(model.train_on_batch(batch, return_dict=True)["loss"]) for _ in range(2)]


def outputs(trained, folder, jit=False):
    """All that the trained model says of two images of noise."""
    model = modellib.MaskRCNN("inference", TinyConfig(), folder)
    model.keras_model.compile(jit_compile=jit)
    model.load_weights(trained.find_last())
    images = np.random.default_rng(1).integers(0, 255, (2, 64, 64, 3), np.uint8)
    molded, metas, _ = model.mold_inputs(list(images))
    names = ("detections", "mrcnn_class", "mrcnn_bbox", "mrcnn_mask", "rpn_rois", "rpn_class", "rpn_bbox")
    return dict(zip(names, model._predict(molded, metas), strict=True))


@pytest.mark.slow
def test_bfloat16(trained, dataset, tmp_path):
    """Up to where proposals are chosen: a hardly trained network's are near ties. What a trained one finds in bfloat16
    is tested where one is trained, in tests/pneumonia/models/test_maskrcnn.py."""
    single, exact = first_loss(dataset), outputs(trained, tmp_path)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        before, after = first_loss(dataset)
        assert before == pytest.approx(single[0], rel=0.05)  # 8 bits of mantissa
        assert after < before
        half = outputs(trained, tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(output.dtype == np.float32 for output in half.values())
    assert np.abs(half["rpn_class"] - exact["rpn_class"]).mean() < 0.005
    assert np.abs(half["rpn_bbox"] - exact["rpn_bbox"]).max() < 0.03 * np.abs(exact["rpn_bbox"]).max()


@pytest.mark.slow
def test_xla(trained, dataset, tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the other tests compile with XLA on JAX; PyTorch has none")
    np.testing.assert_allclose(first_loss(dataset, jit=True), first_loss(dataset), rtol=1e-4)
    plain, compiled = outputs(trained, tmp_path), outputs(trained, tmp_path, jit=True)
    for name, output in plain.items():
        np.testing.assert_allclose(compiled[name], output, atol=1e-4, err_msg=name)


def test_resnet101_has_matterports_weights(tmp_path):
    """Counts that Keras prints for Matterport's COCO model (81 classes): 64,158,584, of which 111,488 are moments."""

    class Coco(Config):
        NUM_CLASSES = 1 + 80
        BACKBONE = "resnet101"
        IMAGE_MIN_DIM = IMAGE_MAX_DIM = 320

    network = Network(Coco())
    model = network.inference_model()
    assert model.count_params() == 64_158_584
    names = [leaf.name for outer in weights.weighted_layers(model) for leaf in weights.leaf_layers(outer)]
    moments = [v for layer in model.layers for v in layer.weights if "moving" in v.name]
    assert sum(int(np.prod(v.shape)) for v in moments) == 111_488
    assert [name for name in names if re.fullmatch(r"res4._branch2a", name)] == [
        f"res4{letter}_branch2a" for letter in "abcdefghijklmnopqrstuvw"
    ]
    # Any size: 3 anchors a cell on strides 4 to 64 of 320 pixels.
    assert len(network.anchors) == 3 * (80**2 + 40**2 + 20**2 + 10**2 + 5**2)
    images = np.random.default_rng(0).normal(0, 50, (1, 320, 320, 3)).astype("float32")
    levels = keras.Model(network.image, network.pyramid).predict_on_batch(images)
    assert [level.shape for level in levels] == [(1, side, side, 256) for side in (80, 40, 20, 10, 5)]
    assert all(np.isfinite(level).all() for level in levels)


def test_boxes_only_and_bad_inputs(tmp_path):
    class BoxesOnly(TinyConfig):
        USE_MASKS = False

    model = modellib.MaskRCNN("inference", BoxesOnly(), tmp_path)
    assert not [layer for layer in model.keras_model.layers if layer.name.startswith("mrcnn_mask")]
    result = model.detect([np.zeros((64, 64, 3), np.uint8)])[0]
    assert result["masks"].shape[:2] == (64, 64)
    assert model.detect([]) == []
    with pytest.raises(ValueError, match=r"a list of images \[height, width, 3\].*got \[64, 3\] as number 0"):
        model.detect(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"got \[64, 64, 4\] as number 1"):
        model.detect([np.zeros((64, 64, channels), np.uint8) for channels in (3, 4)])
    with pytest.raises(NotImplementedError, match="save_weights"):
        model.keras_model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="molded images"):
        model.detect_molded(np.zeros((1, 32, 32, 3), "float32"), np.zeros((1, 15)))
    with pytest.raises(ValueError, match="mode 'training'"):
        model.train(None, None, 0.1, 1, "all")
