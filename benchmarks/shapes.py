"""Does a training through Matterport's calls learn, masks included? Its first example, shapes, from random weights.

    python benchmarks/shapes.py [--epochs N] [--batch N] [--images N] [--logs FOLDER] [--picture FILE.png]

Squares, circles and triangles on 128 x 128 pixels, drawn anew from a seed; nothing is downloaded. Prints the time of the
training, and the mean of `utils.compute_ap` (masks, IoU 0.5) over images that were not trained on.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
from PIL import Image, ImageDraw

import mrcnn.model as modellib
from mrcnn import utils, visualize
from mrcnn.config import Config

SIDE = 128


class ShapesConfig(Config):
    NAME = "shapes"
    NUM_CLASSES = 1 + 3
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = SIDE
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    TRAIN_ROIS_PER_IMAGE = 32
    STEPS_PER_EPOCH = 100
    VALIDATION_STEPS = 5
    BACKBONE = "resnet50"
    TRAIN_BN = None  # from random weights the moments are yet to be learnt
    MAX_GT_INSTANCES = 4
    PRE_NMS_LIMIT = 1000
    POST_NMS_ROIS_TRAINING = 200
    POST_NMS_ROIS_INFERENCE = 100
    DETECTION_MAX_INSTANCES = 10


class ShapesDataset(utils.Dataset):
    """One to three shapes an image; a later one hides what lies below it."""

    NAMES = ("square", "circle", "triangle")

    def load_shapes(self, count: int, seed: int) -> None:
        for i, name in enumerate(self.NAMES, start=1):
            self.add_class("shapes", i, name)
        rng = np.random.default_rng(seed)
        for i in range(count):
            shapes = []
            for _ in range(rng.integers(1, 4)):
                half = int(rng.integers(SIDE // 10, SIDE // 4))
                x, y = (int(value) for value in rng.integers(half, SIDE - half, 2))
                shapes.append((int(rng.integers(1, 4)), tuple(rng.integers(0, 255, 3).tolist()), x, y, half))
            self.add_image("shapes", i, None, ground=tuple(rng.integers(0, 255, 3).tolist()), shapes=shapes)

    def load_image(self, image_id: int) -> np.ndarray:
        info = self.image_info[image_id]
        image = Image.new("RGB", (SIDE, SIDE), info["ground"])
        for kind, color, x, y, half in info["shapes"]:
            self._draw(image, kind, color, x, y, half)
        return np.asarray(image)

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        shapes = self.image_info[image_id]["shapes"]
        masks = np.zeros((SIDE, SIDE, len(shapes)), bool)
        for i, (kind, _, x, y, half) in enumerate(shapes):
            mask = Image.new("1", (SIDE, SIDE))
            self._draw(mask, kind, 1, x, y, half)
            masks[:, :, : i + 1] &= ~np.asarray(mask, bool)[:, :, None]
            masks[:, :, i] = np.asarray(mask, bool)
        return masks, np.array([shape[0] for shape in shapes], np.int32)

    @staticmethod
    def _draw(image: Image.Image, kind: int, color: object, x: int, y: int, half: int) -> None:
        draw, box = ImageDraw.Draw(image), (x - half, y - half, x + half, y + half)
        if kind == 1:
            draw.rectangle(box, fill=color)
        elif kind == 2:
            draw.ellipse(box, fill=color)
        else:
            draw.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], fill=color)


def shapes(count: int, seed: int) -> ShapesDataset:
    dataset = ShapesDataset()
    dataset.load_shapes(count, seed)
    dataset.prepare()
    return dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=6, help="of 100 steps (default: 6)")
    parser.add_argument("--batch", type=int, default=4, help="images a step (default: 4)")
    parser.add_argument("--images", type=int, default=200, help="to measure on (default: 200)")
    parser.add_argument("--logs", help="where weights go (default: a temporary folder)")
    parser.add_argument("--picture", help="write four measured images with what was found")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run(arguments, arguments.logs or temporary)


def run(arguments: argparse.Namespace, logs: str) -> None:
    class Training(ShapesConfig):
        IMAGES_PER_GPU = arguments.batch

    class Inference(ShapesConfig):
        IMAGES_PER_GPU = 1

    train, validation = shapes(2000, seed=1), shapes(arguments.images, seed=2)
    model = modellib.MaskRCNN("training", Training(), logs)
    begun = time.perf_counter()
    most = arguments.epochs * 2 // 3
    model.train(train, validation, learning_rate=0.01, epochs=most, layers="all")
    model.train(train, validation, learning_rate=0.001, epochs=arguments.epochs, layers="all")
    seconds = time.perf_counter() - begun

    model = modellib.MaskRCNN("inference", Inference(), logs)
    model.load_weights(model.find_last())
    precisions, found = [], []
    for image_id in validation.image_ids:
        image, _, class_ids, boxes, masks = modellib.load_image_gt(validation, Inference(), image_id)
        r = model.detect([image])[0]
        found.append((image, r))
        precisions.append(
            utils.compute_ap(boxes, class_ids, masks, r["rois"], r["class_ids"], r["scores"], r["masks"])[0]
        )
    steps = arguments.epochs * ShapesConfig.STEPS_PER_EPOCH
    print(f"{steps} steps of {arguments.batch} images in {seconds:.0f} s; mean AP {np.mean(precisions):.3f}")
    if arguments.picture:
        draw(arguments.picture, validation, found[:4])


def draw(path: str, dataset: ShapesDataset, found: list) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 4))
    for axis, (image, r) in zip(axes, found, strict=True):
        visualize.display_instances(
            image, r["rois"], r["masks"], r["class_ids"], dataset.class_names, r["scores"], ax=axis
        )
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
