"""A project written for Matterport's package: its imports, its calls, in the order of its notebooks."""

import concurrent.futures
import datetime
import importlib.util
import sys
import types
from fractions import Fraction
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from tests.mrcnn.tiny import Boxes, TinyConfig

import mrcnn.model as modellib
from mrcnn import utils, visualize
from mrcnn.model import log


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    yield shown
    plt.close("all")


@pytest.fixture(scope="module")
def dataset():
    dataset = Boxes()
    dataset.prepare_made_up(6)
    return dataset


class InferenceConfig(TinyConfig):
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1


def test_from_training_to_average_precision(dataset, tmp_path, capsys):
    iaa = utils.imgaug().augmenters
    augmentation = iaa.SomeOf((0, 2), [iaa.Fliplr(0.5), iaa.Affine(rotate=90), iaa.GaussianBlur((0, 5))])
    epochs = []
    model = modellib.MaskRCNN(mode="training", config=TinyConfig(), model_dir=str(tmp_path))
    model.keras_model.metrics_tensors = []  # a line of many projects, of Keras 2
    model.train(
        dataset,
        dataset,
        learning_rate=TinyConfig.LEARNING_RATE,
        epochs=1,
        layers="heads",
        augmentation=augmentation,
        custom_callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(logs))],
        no_augmentation_sources=["elsewhere"],
    )
    assert {"loss", "val_loss", "rpn_class_loss", "val_mrcnn_mask_loss"} <= set(epochs[0])
    assert {name: values[0] for name, values in model.keras_model.history.history.items()} == epochs[0]
    path = tmp_path / "mask_rcnn_shapes.h5"
    model.keras_model.save_weights(str(path))

    model = modellib.MaskRCNN(mode="inference", config=InferenceConfig(), model_dir=str(tmp_path))
    last = model.find_last()
    assert last == str(next(tmp_path.glob("tiny2*T*/mask_rcnn_tiny_0001.h5")))
    assert (last[0], last[1], last[-3:]) == (
        str(Path(last).parent),
        last,
        ".h5",
    )  # Matterport 2.0 and 2.1 gave the pair
    model.load_weights(model.find_last(), by_name=True)
    model.load_weights(str(path), by_name=True)

    image_id = np.random.default_rng(0).choice(dataset.image_ids[:2])
    image, meta, gt_class_id, gt_bbox, gt_mask = modellib.load_image_gt(
        dataset, InferenceConfig(), image_id, use_mini_mask=False
    )
    assert gt_mask.shape == (*image.shape[:2], len(gt_class_id))
    assert modellib.parse_image_meta(meta[np.newaxis])["image_id"] == [image_id]
    molded = np.expand_dims(modellib.mold_image(image, InferenceConfig()), 0)
    np.testing.assert_array_equal(modellib.unmold_image(molded[0], InferenceConfig()), image)

    capsys.readouterr()
    r = model.detect([image], verbose=1)[0]
    log("gt_bbox", gt_bbox)
    log("no detection", r["rois"][:0])
    printed = capsys.readouterr().out
    for words in ("Processing 1 images", "molded_images", "gt_bbox", "int32", "no detection", "empty"):
        assert words in printed
    ap, precisions, recalls, overlaps = utils.compute_ap(
        gt_bbox, gt_class_id, gt_mask, r["rois"], r["class_ids"], r["scores"], r["masks"]
    )
    assert 0 <= ap <= 1
    assert len(precisions) == len(recalls) == len(r["rois"]) + 2
    assert overlaps.shape == (len(r["rois"]), 1)


def test_every_weight_file_fits_every_model(tmp_path):
    """Also one named as Keras' `ModelCheckpoint` wants it, and from the training's model to the other."""
    training = modellib.MaskRCNN("training", TinyConfig(), tmp_path).keras_model
    models = [modellib.MaskRCNN("inference", InferenceConfig(), tmp_path).keras_model for _ in range(2)]
    training.save_weights(tmp_path / "best.weights.h5")
    for model in models:
        model.load_weights(tmp_path / "best.weights.h5")
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)
    models[0].save_weights(tmp_path / "named.h5")
    training.load_weights(tmp_path / "named.h5")
    training.save_weights(tmp_path / "again.hdf5")
    assert (tmp_path / "again.hdf5").read_bytes() == (tmp_path / "best.weights.h5").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite"):
        models[0].save_weights(tmp_path / "named.h5", overwrite=False)
    with pytest.raises(ValueError, match="exclude"):
        models[0].load_weights(tmp_path / "named.h5", skip_mismatch=True)
    models[1].set_weights([0 * weight for weight in models[1].get_weights()])
    models[1].load_weights(tmp_path / "named.h5", by_name=True, exclude=["mrcnn_mask"])
    for a, b, variable in zip(models[0].get_weights(), models[1].get_weights(), models[0].weights, strict=True):
        np.testing.assert_array_equal(b, 0 * a if "/mrcnn_mask/" in f"/{variable.path}" else a)


def test_two_trainings_do_not_share_a_folder(tmp_path, monkeypatch):
    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2100, 1, 1)

    one = modellib.MaskRCNN("inference", InferenceConfig(), tmp_path)
    monkeypatch.setattr(datetime, "datetime", Later)
    two = modellib.MaskRCNN("inference", InferenceConfig(), tmp_path)
    assert one.log_dir < two.log_dir == str(tmp_path / "tiny21000101T000000")
    path = str(Path(one.log_dir) / "mask_rcnn_tiny_0007.h5")
    one.save_weights(path)
    two.load_weights(path)
    assert (two.epoch, two.log_dir) == (7, one.log_dir)
    one.save_weights(one.log_dir + "/mask_rcnn_tiny_best.weights.h5")
    assert one.find_last() == path


@pytest.mark.parametrize(
    ("path", "epoch", "folder"),
    [
        ("elsewhere/tiny20261126T061500/mask_rcnn_tiny_0007.h5", 7, "tiny20261126T061500"),
        ("elsewhere/other20180926T0615/mask_rcnn_other_0030.h5", 30, "other20180926T0615"),  # Matterport's own
        ("elsewhere/pretrained/mask_rcnn_balloon_0030.h5", 0, None),  # weights to begin with
    ],
)
def test_what_is_a_training_to_go_on_with(tmp_path, path, epoch, folder):
    model = modellib.MaskRCNN("inference", InferenceConfig(), tmp_path)
    new = model.log_dir
    model.set_log_dir(path)
    assert model.epoch == epoch
    assert Path(model.log_dir).parent == tmp_path
    assert Path(model.log_dir).name == folder or (folder is None and model.log_dir >= new)


def test_images_from_files(tmp_path):
    dataset = utils.Dataset()
    colors = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    grey = (colors[..., 0].astype(np.uint16) << 8) + 7
    for name, pixels in {"rgb": colors[..., :3], "rgba": colors, "l": colors[..., 0], "deep": grey}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        dataset.add_image("made_up", name, tmp_path / f"{name}.png")
    rgb, rgba, level, deep = (dataset.load_image(i) for i in range(4))
    np.testing.assert_array_equal(rgb, colors[..., :3])
    np.testing.assert_array_equal(rgba, colors[..., :3])
    np.testing.assert_array_equal(level, np.repeat(colors[..., :1], 3, axis=2))
    np.testing.assert_array_equal(deep, np.repeat(grey[..., None], 3, axis=2))
    rgb[0, 0] = 0  # not a view of the file


@pytest.mark.parametrize(
    ("image", "mask", "class_ids", "message"),
    [
        ((8, 8, 4), (8, 8, 1), [1], r"load_image must give \[height, width, 3\] .* got \[8, 8, 4\]"),
        ((8, 8, 3), (8, 9, 1), [1], r"load_mask must give masks \[8, 8, 1\].* got \[8, 9, 1\]"),
        ((8, 8, 3), (8, 8, 1), [1, 2], r"load_mask must give masks \[8, 8, 2\]"),
        ((8, 8, 3), (8, 8, 1), [3], r"class_ids \[3\]; the data set has classes 0 to 2"),
    ],
)
def test_a_data_set_that_does_not_fit_is_named(image, mask, class_ids, message):
    class Bad(Boxes):
        def load_image(self, image_id):
            return np.zeros(image, np.uint8)

        def load_mask(self, image_id):
            return np.ones(mask, bool), np.array(class_ids)

    dataset = Bad()
    dataset.prepare_made_up(1)
    with pytest.raises(ValueError, match=message):
        modellib.load_image_gt(dataset, TinyConfig(), 0)
    with pytest.raises(ValueError, match=rf"image made_up\.0 .*{message}"):
        modellib.DataGenerator(dataset, TinyConfig())[0]
    dataset.add_class("made_up", 3, "one too many")
    dataset.prepare()
    with pytest.raises(ValueError, match="NUM_CLASSES is 3, the data set has 4"):
        modellib.DataGenerator(dataset, TinyConfig())


def test_what_ends_a_training_late_is_refused_at_once(dataset, tmp_path, monkeypatch):
    model = modellib.MaskRCNN("training", TinyConfig(), tmp_path)
    assert model.checkpoint_path == model.log_dir + "/mask_rcnn_tiny_{epoch:04d}.h5"
    whole = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras")
    with pytest.raises(ValueError, match=r"best\.keras'\) writes whole models.*save_weights_only=True"):
        model.train(dataset, dataset, 0.1, 1, "heads", custom_callbacks=[whole])
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "tensorboard" else found(name, *a)
    )
    with pytest.raises(ModuleNotFoundError, match=r"TensorBoard needs tensorboard.*pip install tensorboard"):
        model.train(dataset, dataset, 0.1, 1, "heads", custom_callbacks=[keras.callbacks.TensorBoard(tmp_path)])
    with pytest.raises(ValueError, match=r"GPU_COUNT is 64, set it to the devices that train: .*sees \d"):
        modellib.MaskRCNN("training", type("Many", (TinyConfig,), {"GPU_COUNT": 64})(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_batches_are_the_same_whichever_thread_makes_them(dataset):
    iaa = utils.imgaug().augmenters
    augmentation = iaa.SomeOf((0, 2), [iaa.Fliplr(0.5), iaa.Affine(rotate=(-30, 30)), iaa.Multiply((0.5, 1.5))])
    one = modellib.DataGenerator(dataset, TinyConfig(), True, augmentation, steps=24)
    assert one.shuffle
    wanted = [one[i] for i in range(24)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for a, b in zip(wanted, pool.map(one.__getitem__, range(24)), strict=True):
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])
    assert modellib.DataGenerator(dataset, TinyConfig(), workers=3).workers == 3


def test_data_sets_join(dataset):
    class Both(Boxes):
        pass

    both = Both()
    both.add_class("made_up", 1, "light")
    both.add_image("elsewhere", "x", None)
    both.append_data(dataset.class_info, dataset.image_info)
    both.prepare()
    assert both.class_names == ["BG", "light", "lighter"]
    assert [info["id"] for info in both.image_info] == ["x", 0, 1, 2, 3, 4, 5]
    both.image_info[1]["path"] = "changed"
    assert dataset.image_info[0]["path"] is None


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.one_of(st.floats(0.1, 4), st.fractions(Fraction(1, 9), 9, max_denominator=70).map(float)),
    st.integers(0, 3),
)
def test_masks_are_resized_as_scipy_does(height, width, scale, count):
    if min(round(height * scale), round(width * scale)) < 1:
        return
    mask = np.random.default_rng(height).random((height, width, count)) < 0.5
    resized = utils.resize_mask(mask, scale, [(1, 0), (0, 2), (0, 0)])
    wanted = ndimage.zoom(mask, [scale, scale, 1], order=0) if count else np.zeros_like(resized[1:, :-2])
    np.testing.assert_array_equal(resized, np.pad(wanted, [(1, 0), (0, 2), (0, 0)]))
    assert resized.dtype == bool


def test_steps_of_an_epoch_may_be_a_fraction(dataset):
    assert modellib.DataGenerator(dataset, TinyConfig(), steps=3 / 2).num_batches == 2
    assert modellib.DataGenerator(dataset, TinyConfig()).num_batches == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_resize_is_scikit_images(dtype):
    from skimage.transform import resize

    image = np.random.default_rng(0).random((9, 7, 3)) * (1 if dtype is np.float32 else 255)
    image = (image > 128) if dtype is bool else image.astype(dtype)
    values = image.astype(float) if dtype is bool else image  # scikit-image refuses to interpolate bool
    for preserve_range in (False, True):
        options = {"order": 1, "mode": "constant", "anti_aliasing": False, "preserve_range": preserve_range}
        wanted = resize(values, (20, 11), **options)
        np.testing.assert_allclose(utils.resize(image, (20, 11), **options), wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match=r"skimage\.transform"):
        utils.resize(image, (20, 11), order=3)


def test_what_the_first_stage_is_taught(dataset):
    config = TinyConfig()
    model = modellib.MaskRCNN("training", config, "none")
    image, _, gt_class_id, gt_bbox, _ = modellib.load_image_gt(dataset, config, 0)
    match, deltas = modellib.build_rpn_targets(image.shape, model.anchors, gt_class_id, gt_bbox, config)
    assert match.shape == (len(model.anchors),)
    assert deltas.shape == (config.RPN_TRAIN_ANCHORS_PER_IMAGE, 4)
    positive = model.anchors[match == 1]
    assert len(positive)
    refined = utils.apply_box_deltas(positive, deltas[: len(positive)] * config.RPN_BBOX_STD_DEV)
    np.testing.assert_allclose(refined, np.repeat(gt_bbox, len(positive), axis=0), atol=1e-3)
    np.testing.assert_allclose(utils.box_refinement(positive, refined), deltas[: len(positive)] * [0.1, 0.1, 0.2, 0.2])
    recall, which = utils.compute_recall(refined, gt_bbox, 0.99)
    assert (recall, len(which)) == (1.0, len(positive))
    match, deltas = modellib.build_rpn_targets(image.shape, model.anchors, gt_class_id[:0], gt_bbox[:0], config)
    assert (match == -1).sum() == min(config.RPN_TRAIN_ANCHORS_PER_IMAGE, len(model.anchors))
    assert not (match == 1).any()
    assert not deltas.any()


def test_imagenet_weights_go_in_by_name(tmp_path, monkeypatch):
    """The published file has the names of Keras 1: `conv1_W_1:0`, `bn_conv1_running_mean_1:0`, in Keras' order."""
    import h5py

    class ResNet(TinyConfig):
        BACKBONE = "resnet50"

    layers = {
        "conv1": [("W", (7, 7, 3, 64)), ("b", (64,))],
        "bn_conv1": [(name, (64,)) for name in ("gamma", "beta", "running_mean", "running_std")],
        "res5c_branch2c": [("W", (1, 1, 512, 2048)), ("b", (2048,))],
    }
    path = tmp_path / "models" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir()
    values = {}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in layers)]
        file.create_group("input_1").attrs["weight_names"] = []
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}_{name}_1:0".encode() for name, _ in weights]
            for name, shape in weights:
                value = np.random.default_rng(len(values)).random(shape, np.float32)
                group.create_dataset(f"{layer}_{name}_1:0", data=value)
                values[layer, name] = value
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    model = modellib.MaskRCNN("inference", ResNet(), tmp_path)
    with pytest.raises(ValueError, match=r"MD5 [0-9a-f]{32}, not a268eb855778b3df3c7506639542a6af.*remove it"):
        model.get_imagenet_weights()

    before = {variable.path: np.array(variable) for variable in model.keras_model.variables}
    model.load_weights(path, by_name=True)
    after = {variable.path: np.array(variable) for variable in model.keras_model.variables}
    changed = {name: value for name, value in after.items() if (value != before[name]).any()}
    names = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
    for name, value in changed.items():
        layer, weight = name.split("/")[-2:]
        np.testing.assert_array_equal(value, values.pop((layer, names.get(weight, weight))))
    assert not values


@pytest.mark.parametrize(
    ("boxes", "scores", "threshold", "kept"),
    [
        ([[0, 0, 10, 10], [0, 1, 10, 11], [20, 20, 30, 30]], [0.5, 0.9, 0.1], 0.3, [1, 2]),
        ([[0, 0, 10, 10], [0, 5, 10, 15]], [0.5, 0.9], 0.5, [1, 0]),
        (np.zeros((0, 4)), [], 0.5, []),
    ],
)
def test_non_maximum_suppression(boxes, scores, threshold, kept):
    np.testing.assert_array_equal(utils.non_max_suppression(np.array(boxes), np.array(scores), threshold), kept)


def instances(*boxes):
    """Boxes and their masks in a frame of 40 x 60, all of class 1."""
    masks = np.zeros((40, 60, len(boxes)), bool)
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        masks[y1:y2, x1:x2, i] = True
    return np.array(boxes, np.int32).reshape(-1, 4), np.ones(len(boxes), np.int32), masks


def test_average_precision_of_an_image():
    truth = instances((0, 0, 10, 10), (20, 20, 30, 30))
    boxes, classes, masks = instances((0, 0, 10, 10), (0, 40, 10, 50), (20, 20, 30, 26))
    found = boxes, classes, np.array([0.9, 0.8, 0.7]), masks
    ap, precisions, recalls, overlaps = utils.compute_ap(*truth, *found)
    np.testing.assert_allclose(overlaps, [[1, 0], [0, 0], [0, 0.6]], atol=1e-6)
    np.testing.assert_allclose(precisions, [1, 1, 2 / 3, 2 / 3, 0])
    np.testing.assert_allclose(recalls, [0, 0.5, 0.5, 1, 1])
    assert ap == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert utils.compute_ap(*truth, *found, iou_threshold=0.7)[0] == pytest.approx(0.5)
    # The order is that of the scores, a class must be the instance's, and rows of zeros are padding.
    gt_match, pred_match, _ = utils.compute_matches(
        *truth, boxes, np.array([2, 1, 1]), np.array([0.1, 0.2, 0.3]), masks
    )
    np.testing.assert_array_equal(gt_match, [-1, 0])
    np.testing.assert_array_equal(pred_match, [1, -1, -1])
    padded = np.concatenate([boxes, np.zeros((2, 4), np.int32)]), classes, np.array([0.9, 0.8, 0.7, 0, 0]), masks
    assert utils.compute_ap(*truth, *padded)[0] == pytest.approx(ap)
    assert np.isnan(utils.compute_ap(*instances(), *found)[0])
    nothing = (*instances()[:2], np.zeros(0), instances()[2])
    assert utils.compute_ap(*truth, *nothing)[0] == 0
    with pytest.raises(ValueError, match="use_mini_mask=False"):
        utils.compute_ap(*truth[:2], truth[2][:28, :28], *found)


def test_average_precision_over_overlaps(capsys):
    truth = instances((0, 0, 10, 10))
    boxes, classes, masks = instances((0, 0, 10, 7))
    found = boxes, classes, np.array([0.9]), masks
    assert utils.compute_ap_range(*truth, *found) == pytest.approx(0.4)  # 0.5, 0.55, 0.6 and 0.65 of ten; 0.7 < 0.7
    assert "AP @0.50-0.95:\t 0.400" in capsys.readouterr().out
    assert utils.compute_ap_range(*truth, *found, iou_thresholds=[0.5], verbose=0) == 1
    assert not capsys.readouterr().out


def test_overlap_and_recall_of_boxes():
    boxes = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [50, 50, 60, 60]])
    np.testing.assert_allclose(utils.compute_iou(boxes[0], boxes, 100, [100, 100, 100]), [1, 1 / 3, 0])
    recall, which = utils.compute_recall(boxes, np.array([[0, 0, 10, 10], [30, 30, 40, 40]]), 0.3)
    assert recall == 0.5
    np.testing.assert_array_equal(which, [0, 1])
    assert utils.compute_recall(boxes[:0], boxes, 0.5)[0] == 0
    np.testing.assert_array_equal(utils.trim_zeros(np.array([[1, 2], [0, 0], [0, 3]])), [[1, 2], [0, 3]])


IMAGE = np.full((40, 60, 3), 100, np.uint8)
NAMES = ["BG", "light"]


def test_instances_lie_where_they_are(no_window):
    boxes, classes, masks = instances((5, 10, 25, 40))
    axes = visualize.display_instances(IMAGE, boxes, masks, classes, NAMES, np.array([0.75]), title="found")
    assert no_window == [axes.figure]
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal((shown != 100).any(axis=2), masks[:, :, 0])
    frame = axes.patches[0]
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((10, 5), 30, 20)
    assert [text.get_text() for text in axes.texts] == ["light 0.750"]
    outline = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    assert (outline.min(axis=0).tolist(), outline.max(axis=0).tolist()) == ([9.5, 4.5], [39.5, 24.5])
    assert (IMAGE == 100).all()  # a copy was drawn on

    own = matplotlib.pyplot.subplots()[1]
    bare = visualize.display_instances(IMAGE[..., 0], boxes, None, classes, NAMES, ax=own, show_bbox=False)
    assert bare is own
    assert len(no_window) == 1  # who gives axes shows them
    assert not own.patches
    visualize.display_instances(IMAGE, boxes[:0], masks, classes[:0], NAMES, ax=own)
    visualize.display_instances(IMAGE, 0 * boxes, masks, classes, NAMES, ax=own)
    assert not own.patches  # padding is not drawn
    rgba = np.concatenate([IMAGE, IMAGE[..., :1]], axis=2)
    visualize.display_instances(rgba, boxes, masks, classes, NAMES, ax=own, colors=[(0, 1, 0, 0.8)])
    with pytest.raises(ValueError, match="differ in number: 1, "):
        visualize.display_instances(IMAGE, boxes, masks[..., :0], classes, NAMES)


def test_top_masks():
    _, _, masks = instances((0, 0, 5, 5), (10, 10, 30, 30), (0, 50, 5, 55))
    figure = visualize.display_top_masks(IMAGE, masks, np.array([1, 2, 1]), ["BG", "small", "large"], limit=3)
    assert [axis.get_title() for axis in figure.axes] == ["H x W = 40 x 60", "large", "small", "-"]
    numbered = figure.axes[2].images[0].get_array()
    assert [int((numbered == value).sum()) for value in (0, 1, 2)] == [40 * 60 - 50, 25, 25]
    floats = visualize.display_images([IMAGE.astype(float)]).axes[0].images[0].get_array()
    np.testing.assert_array_equal(floats, IMAGE)
    assert len(visualize.display_images([]).axes) == 4


def test_differences():
    truth = instances((0, 0, 10, 10), (20, 20, 30, 30))
    boxes, classes, masks = instances((20, 20, 30, 26), (0, 40, 10, 50))
    axes = visualize.display_differences(IMAGE, *truth, boxes, classes, np.array([0.7, 0.8]), masks, NAMES)
    assert [text.get_text() for text in axes.texts] == ["", "", "0.80 / 0.00", "0.70 / 0.60"]
    assert [patch.get_edgecolor()[:2] for patch in axes.patches] == [(0, 1), (0, 1), (1, 0), (1, 0)]


def test_boxes_before_and_after():
    boxes = np.array([[5, 5, 15, 15], [20, 20, 30, 30]])
    axes = visualize.draw_boxes(IMAGE, boxes, boxes + 2, captions=["one", "two"], visibilities=[1, 0])
    assert [(patch.get_xy(), patch.get_linestyle()) for patch in axes.patches] == [
        ((5, 5), "dotted"),
        ((7, 7), "solid"),
        ((20, 20), "dotted"),  # background is not refined
    ]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[5, 5], [7, 7]])
    assert [text.get_position() for text in axes.texts] == [(7, 7), (20, 20)]
    assert len(visualize.draw_boxes(IMAGE, refined_boxes=boxes).patches) == 2

    mask = np.zeros((2, 7, 7, 2))
    mask[0, :, :, 1] = 1.0
    axes = visualize.draw_rois(IMAGE, boxes, boxes + 2, mask, np.array([1, 0]), NAMES)
    assert axes.get_title() == "2 of 2 regions; 1 of all positive"
    changed = (axes.images[0].get_array() != 100).any(axis=2)
    np.testing.assert_array_equal(np.argwhere(changed).min(axis=0), [5, 5])
    np.testing.assert_array_equal(np.argwhere(changed).max(axis=0), [14, 14])
    same = visualize.draw_rois(IMAGE, boxes, boxes + 2, mask[..., 1], np.array([1, 0]), NAMES)
    np.testing.assert_array_equal(same.images[0].get_array(), axes.images[0].get_array())


def test_curves_and_tables(capsys, monkeypatch):
    axes = visualize.plot_precision_recall(0.75, np.array([1, 0.5, 0]), np.array([0, 0.5, 1]))
    assert axes.get_title().endswith("0.750")
    ids = np.array([1, 1])
    axes = visualize.plot_overlaps(ids, np.array([1, 2]), np.array([0.9, 0.8]), np.array([[0.7, 0], [0, 0.6]]), "abc")
    assert [text.get_text() for text in axes.texts] == ["0.700\nmatch", "0.000", "0.000", "0.600\nwrong class"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b (0.90)", "c (0.80)"]
    visualize.display_table([["a", "long cell"], ["longer", 1]])
    assert capsys.readouterr().out == "a       long cell\nlonger  1\n"

    pages = []
    notebook = types.SimpleNamespace(
        get_ipython=lambda: "a shell", display=types.SimpleNamespace(HTML=str, display=pages.append)
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    visualize.display_table([["a<b", 1]])
    assert pages == ["<table><tr><td>a&lt;b</td><td>1</td></tr></table>"]
    assert not capsys.readouterr().out


def test_weight_statistics(tmp_path, capsys):
    model = modellib.MaskRCNN("inference", InferenceConfig(), tmp_path)
    visualize.display_weight_stats(model)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["WEIGHT", "SHAPE", "MIN", "MAX", "STD"]
    assert len(lines) == 1 + len(model.keras_model.weights)
    assert next(line for line in lines if line.startswith("res1/bias")).split()[1:3] == ["(all", "equal)"]


def test_box_and_colours():
    image = visualize.draw_box(np.zeros((20, 20, 3), np.uint8), (2, 3, 12, 13), (255, 0, 0))
    edge = np.zeros((20, 20), bool)
    edge[2:14, 3:15] = True
    edge[4:12, 5:13] = False
    edge[12:14, 13:15] = False  # the corner beyond both far edges
    np.testing.assert_array_equal(image[..., 0] == 255, edge)
    colors = visualize.random_colors(6)
    assert len(set(colors)) == 6
    assert max(max(color) for color in visualize.random_colors(3, bright=False)) == 0.7


def test_a_small_mask_and_back():
    boxes, _, masks = instances((0, 0, 10, 10), (20, 20, 30, 50))
    with_classes = np.concatenate([boxes, [[1], [2]]], axis=1)  # as some data sets carry them
    for rows in (boxes, with_classes, list(with_classes)):
        small = utils.minimize_mask(rows, masks, (14, 14))
        assert small.shape == (14, 14, 2)
        np.testing.assert_array_equal(utils.expand_mask(rows, small, masks.shape), masks)
