"""Trains a tiny detector on one device and on two halves of the CPU; prints how far apart the weights end.

Started by `test_backend.py` in a process of its own: a CPU can only be split before the backend runs.
"""

import sys

import keras
import numpy as np

from keraskit.compute import devices
from keraskit.compute.backend import data_parallel
from keraskit.training.optimizers import adamw


def yolo():
    from yolov3.cfg import Convolutional, Description
    from yolov3.cfg import Yolo as Head
    from yolov3.model import Yolo

    head = Convolutional(12, 1, batch_normalize=False, activation="linear")
    trunk = [Convolutional(8 * 2**i, 3, 2, 1) for i in range(4)]
    model = Yolo(Description(64, 64, 3, (*trunk, head, Head((0, 1), ((20, 20), (30, 30)), 1))), seed=1)
    # Moments of half a batch are not those of the whole, so the comparison needs them fixed.
    for layer in model.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (4, 64, 64), np.uint8)
    corners = rng.uniform(0, 30, (4, 1, 2)).astype("float32")
    return model, (images, np.concatenate([corners, corners + 25], axis=2))


def mask_rcnn():
    from mrcnn.config import Config
    from mrcnn.network import Network, key_count

    def backbone(image, stage5=True, train_bn=None):
        x, maps = image, []
        for level in range(1, 6):
            x = keras.layers.Conv2D(6, 3, 2, "same", activation="relu", name=f"res{level}")(x)
            maps.append(x)
        return maps

    config = Config()
    fields = {
        "BACKBONE": backbone, "BACKBONE_STRIDES": (8, 16), "RPN_ANCHOR_SCALES": (16, 32), "NUM_CLASSES": 2,
        "TOP_DOWN_PYRAMID_SIZE": 8, "FPN_CLASSIF_FC_LAYERS_SIZE": 12, "RPN_CONV_FILTERS": 8, "USE_MASKS": False,
        "IMAGE_MIN_DIM": 64, "IMAGE_MAX_DIM": 64, "IMAGES_PER_GPU": 2, "MAX_GT_INSTANCES": 2, "PRE_NMS_LIMIT": 60,
        "POST_NMS_ROIS_TRAINING": 20, "TRAIN_ROIS_PER_IMAGE": 8, "ROI_ADD_INSTANCES": True,
    }  # fmt: skip
    for name, value in fields.items():
        setattr(config, name, value)
    config.__init__()
    rng = np.random.default_rng(1)
    # The same image twice: then a mean over each half is the mean over the whole.
    batch = {
        "input_image": rng.normal(0, 50, (1, 64, 64, 3)).astype("float32"),
        "input_image_meta": np.ones((1, config.IMAGE_META_SIZE), "float32"),
        "input_gt_class_ids": np.array([[1, 0]], np.int32),
        "input_gt_boxes": np.array([[[8, 8, 40, 36], [0, 0, 0, 0]]], "float32"),
        "input_keys": rng.random((1, key_count(config)), np.float32),
    }
    return Network(config).training_model(), ({name: np.repeat(value, 2, 0) for name, value in batch.items()},)


def trained(build, count, clip_norm):
    keras.utils.set_random_seed(1)
    with data_parallel(count).scope():
        model, data = build()
        model.compile(optimizer=adamw(0.001, 3, weight_decay=0.001, clip_norm=clip_norm), jit_compile=None)
        history = model.fit(*data, batch_size=len(data[0]) if len(data) > 1 else 2, epochs=3, verbose=0, shuffle=False)
    replicas = {str(getattr(v.value, "sharding", type(v.value).__name__)) for v in model.trainable_variables}
    return history.history["loss"], [np.asarray(keras.ops.convert_to_numpy(w)) for w in model.get_weights()], replicas


if __name__ == "__main__":
    devices.configure("cpu", devices=2)
    for build, clip_norm in ((yolo, None), (mask_rcnn, 1.0)):  # halves that differ are clipped each for itself
        (losses, weights, _), (both_losses, both, where) = (trained(build, count, clip_norm) for count in (1, 2))
        np.testing.assert_allclose(both_losses, losses, rtol=1e-4)
        apart = max(float(np.abs(a - b).max()) for a, b in zip(weights, both, strict=True))
        moved = losses[0] - losses[-1]
        print(f"{build.__name__} {losses[0]:.6f} {both_losses[0]:.6f} {apart:.6f} {moved:.6f} {sorted(where)}")
    sys.exit(0)
