"""Images and their instances: the data set's interface, molding, and batches for training."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keraskit.training.augmenters import imgaug
from mrcnn.config import Config
from mrcnn.images import extract_bboxes, minimize_mask, mold_image, resize_image, resize_mask
from mrcnn.network import META_BEFORE_CLASSES, key_count


class Dataset:
    """Base class of data sets: subclass it, call `add_class` and `add_image`, then `prepare`; override `load_mask`.

    A class or an image has a `source` (the data set it comes from), so that one object can join several.
    """

    def __init__(self, class_map: Any = None):
        self.image_info: list[dict[str, Any]] = []
        self.class_info: list[dict[str, Any]] = [{"source": "", "id": 0, "name": "BG"}]
        self._image_ids: Any = []
        self.source_class_ids: dict[str, list[int]] = {}

    def add_class(self, source: str, class_id: int, class_name: str) -> None:
        """Add class `class_id` (positive) of `source`; a class that is there already stays as it is."""
        if "." in source:
            raise ValueError(f"the source of a class must not contain a dot, got {source!r}")
        if all((info["source"], info["id"]) != (source, class_id) for info in self.class_info):
            self.class_info.append({"source": source, "id": class_id, "name": class_name})

    def append_data(self, class_info: Sequence[dict[str, Any]], image_info: Sequence[dict[str, Any]]) -> None:
        """Add the classes and images of another data set, `other.class_info` and `other.image_info`; then `prepare`.

        A class that is there already, the background for one, stays as it is.
        """
        for info in class_info:
            if info["id"] != 0:
                self.add_class(info["source"], info["id"], info["name"])
        self.image_info += [dict(info) for info in image_info]

    def add_image(self, source: str, image_id: Any, path: Any, **kwargs: Any) -> None:
        """Add an image; `kwargs` join its entry in `image_info`."""
        self.image_info.append({"id": image_id, "source": source, "path": path, **kwargs})

    def image_reference(self, image_id: int) -> str:
        """What leads a person to the image; override it."""
        return ""

    def prepare(self, class_map: Any = None) -> None:
        """Number classes and images; to be called after the last `add_*`."""
        self.num_classes = len(self.class_info)
        self.class_ids = np.arange(self.num_classes)
        self.class_names = [",".join(info["name"].split(",")[:1]) for info in self.class_info]
        self.num_images = len(self.image_info)
        self._image_ids = np.arange(self.num_images)
        pairs = zip(self.class_info, self.class_ids, strict=True)
        self.class_from_source_map = {f"{info['source']}.{info['id']}": int(id_) for info, id_ in pairs}
        self.image_from_source_map = {f"{info['source']}.{info['id']}": i for i, info in enumerate(self.image_info)}
        self.sources = sorted({info["source"] for info in self.class_info})
        self.source_class_ids = {
            source: [i for i, info in enumerate(self.class_info) if i == 0 or info["source"] == source]
            for source in self.sources
        }

    def map_source_class_id(self, source_class_id: str) -> int:
        """`"coco.12"` -> the class's number here."""
        return self.class_from_source_map[source_class_id]

    def get_source_class_id(self, class_id: int, source: str) -> Any:
        """The class's number in `source`."""
        info = self.class_info[class_id]
        if info["source"] != source:
            raise ValueError(f"class {class_id} is of source {info['source']!r}, not {source!r}")
        return info["id"]

    @property
    def image_ids(self) -> Any:
        return self._image_ids

    def source_image_link(self, image_id: int) -> Any:
        """Path or address of the image."""
        return self.image_info[image_id]["path"]

    def load_image(self, image_id: int) -> np.ndarray:
        """`[H, W, 3]`, RGB, read from the image's path: uint8, uint16 from a grey image of 16 bits."""
        from PIL import Image

        with Image.open(self.image_info[image_id]["path"]) as file:
            if file.mode.startswith("I"):
                return np.repeat(np.array(file).astype(np.uint16)[..., None], 3, axis=2)
            return np.array(file.convert("RGB"))

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """`(masks bool [H, W, instances], class_ids int32 [instances])`; override it. Here: no instance."""
        return np.empty((0, 0, 0), bool), np.empty(0, np.int32)


def compose_image_meta(
    image_id: int,
    original_image_shape: Sequence[int],
    image_shape: Sequence[int],
    window: Sequence[float],
    scale: float,
    active_class_ids: Sequence[int] | np.ndarray,
) -> np.ndarray:
    """One float vector of all that is known of an image; `parse_image_meta` undoes it.

    Arguments:
        window: `(y1, x1, y2, x2)` of the image in its padding, pixels.
        active_class_ids: 0 or 1 for each class.
    """
    parts = [image_id], original_image_shape, image_shape, window, [scale], active_class_ids
    return np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])


def parse_image_meta(meta: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of `metas` `[B, IMAGE_META_SIZE]` by name."""
    return {
        "image_id": meta[:, 0].astype(np.int32),
        "original_image_shape": meta[:, 1:4].astype(np.int32),
        "image_shape": meta[:, 4:7].astype(np.int32),
        "window": meta[:, 7:11].astype(np.int32),
        "scale": meta[:, 11].astype(np.float32),
        "active_class_ids": meta[:, META_BEFORE_CLASSES:].astype(np.int32),
    }


def load_image_gt(
    dataset: Dataset,
    config: Config,
    image_id: int,
    augment: bool = False,
    augmentation: Any = None,
    use_mini_mask: bool = False,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An image and its instances, resized and augmented.

    Arguments:
        augment: flip every second image from left to right (Matterport's older switch; `augmentation` can do more).
        augmentation: an imgaug augmenter; what would blur a mask (anything that is not geometry) is kept from masks.
        use_mini_mask: masks of the instances' boxes only, `MINI_MASK_SHAPE`.
        rng: of the crop mode and of `augment`.

    Returns:
        image `[H, W, C]`, meta, class_ids int32 `[n]`, boxes int32 `[n, (y1, x1, y2, x2)]` pixels of the result, masks
        bool `[h, w, n]`. n may be 0.

    Raises:
        ValueError: image, masks and classes do not fit each other or the configuration.
    """
    image = dataset.load_image(image_id)
    mask, class_ids = dataset.load_mask(image_id)
    mask = np.asarray(mask, bool) if len(class_ids) else np.zeros((*image.shape[:2], 0), bool)
    _check(image, mask, class_ids, dataset, config)
    original_shape = image.shape
    image, window, scale, padding, crop = resize_image(
        image,
        min_dim=config.IMAGE_MIN_DIM,
        min_scale=config.IMAGE_MIN_SCALE,
        max_dim=config.IMAGE_MAX_DIM,
        mode=config.IMAGE_RESIZE_MODE,
        rng=rng,
    )
    mask = resize_mask(mask, scale, padding, crop)
    if augment and (np.random.default_rng() if rng is None else rng).random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if augmentation is not None:
        image, mask = _augment(augmentation, image, mask)
    visible = np.any(mask, axis=(0, 1))
    mask, class_ids = mask[:, :, visible], np.asarray(class_ids)[visible]
    boxes = extract_bboxes(mask)
    active = np.zeros(dataset.num_classes, np.int32)
    active[dataset.source_class_ids[dataset.image_info[image_id]["source"]]] = 1
    if use_mini_mask:
        mask = minimize_mask(boxes, mask, config.MINI_MASK_SHAPE)
    meta = compose_image_meta(image_id, original_shape, image.shape, window, scale, active)
    return image, meta, class_ids.astype(np.int32), boxes, mask


def _check(image: np.ndarray, mask: np.ndarray, class_ids: Any, dataset: Dataset, config: Config) -> None:
    if image.ndim != 3 or image.shape[2] != config.IMAGE_CHANNEL_COUNT:
        raise ValueError(
            f"load_image must give [height, width, {config.IMAGE_CHANNEL_COUNT}] (IMAGE_CHANNEL_COUNT), got "
            f"{list(image.shape)}"
        )
    if mask.shape != (wanted := (*image.shape[:2], len(class_ids))):
        raise ValueError(
            f"load_mask must give masks {list(wanted)}, the height and width of the image and one for each of its "
            f"class_ids, got {list(mask.shape)}"
        )
    if any(abs(id_) >= dataset.num_classes for id_ in class_ids):  # below 0: a crowd
        raise ValueError(
            f"load_mask gave class_ids {np.asarray(class_ids).tolist()}; the data set has classes 0 to "
            f"{dataset.num_classes - 1}: {dataset.class_names}"
        )


def _augment(augmentation: Any, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    geometric = {
        "Sequential", "SomeOf", "OneOf", "Sometimes", "Fliplr", "Flipud", "CropAndPad", "Affine", "PiecewiseAffine",
    }  # fmt: skip
    fixed = augmentation.to_deterministic()
    shape = image.shape
    image = fixed.augment_image(image)
    hooks = imgaug().HooksImages(
        activator=lambda images, augmenter, parents, default: type(augmenter).__name__ in geometric
    )
    if mask.shape[-1]:
        mask = fixed.augment_image(mask.astype(np.uint8), hooks=hooks).astype(bool)
    if image.shape != shape or mask.shape[:2] != shape[:2]:
        raise ValueError(f"augmentation must keep the image's shape {shape}, got {image.shape}")
    return image, mask


class DataGenerator(keras.utils.PyDataset):
    """Batches of one epoch: the training model's inputs by name. Images without instances are negatives, not left out.

    Everything random comes from `(config.SEED, epoch, index of the batch)`, however many threads make the batches. `augment` is
    `load_image_gt`'s. Images of `no_augmentation_sources` are not augmented.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        shuffle: bool = True,
        augmentation: Any = None,
        *,
        augment: bool = False,
        epoch: int = 0,
        steps: float | None = None,
        no_augmentation_sources: Sequence[str] | None = None,
        workers: int = 1,
    ):
        super().__init__(workers=workers, max_queue_size=max(10, 2 * workers))
        self.dataset, self.config, self.augment, self.augmentation = dataset, config, augment, augmentation
        self.as_they_are = set(no_augmentation_sources or ())
        self.shuffle, self.epoch, self.steps = shuffle, epoch, steps
        if not len(dataset.image_ids):
            raise ValueError("the data set has no images: were add_image and prepare called?")
        if dataset.num_classes != config.NUM_CLASSES:
            raise ValueError(
                f"NUM_CLASSES is {config.NUM_CLASSES}, the data set has {dataset.num_classes}: {dataset.class_names}"
            )

    @property
    def num_batches(self) -> int:
        return math.ceil(self.steps or len(self.dataset.image_ids) / self.config.BATCH_SIZE)

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def _ids(self, index: int) -> list[int]:
        """Images of batch `index`: one shuffled pass after the other, so that every batch is full."""
        ids, size = np.asarray(self.dataset.image_ids), self.config.BATCH_SIZE
        result: list[int] = []
        for place in range(index * size, (index + 1) * size):
            round_, at = divmod(place + self.epoch * self.num_batches * size, len(ids))
            order = np.random.default_rng((self.config.SEED, round_)).permutation(ids) if self.shuffle else ids
            result.append(int(order[at]))
        return result

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.config.SEED, self.epoch, index))
        augmentation = copy.deepcopy(self.augmentation)  # of this batch alone, whichever thread makes it
        if augmentation is not None:
            augmentation.seed_(int(rng.integers(2**31)))
        rows = []
        for image_id in self._ids(index):
            info = self.dataset.image_info[image_id]
            try:
                gt = load_image_gt(
                    self.dataset,
                    self.config,
                    image_id,
                    augment=self.augment,
                    augmentation=None if info["source"] in self.as_they_are else augmentation,
                    use_mini_mask=self.config.USE_MINI_MASK,
                    rng=rng,
                )
                if gt[0].shape != (wanted := tuple(self.config.IMAGE_SHAPE)):
                    raise ValueError(
                        f"images of one shape make a batch, IMAGE_SHAPE {wanted}; IMAGE_RESIZE_MODE "
                        f"{self.config.IMAGE_RESIZE_MODE!r} gave {gt[0].shape}. Train with 'square' or 'crop'"
                    )
            except (OSError, ValueError) as error:
                raise ValueError(f"image {info['source']}.{info['id']} ({info['path']}): {error}") from error
            rows.append(training_row(self.config, *gt, rng=rng))
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def training_row(
    config: Config,
    image: np.ndarray,
    meta: np.ndarray,
    class_ids: np.ndarray,
    boxes: np.ndarray,
    masks: np.ndarray | None,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """One image of a batch, padded to `MAX_GT_INSTANCES` (a random choice where there are more), and its keys."""
    most = config.MAX_GT_INSTANCES
    chosen = np.arange(len(class_ids))
    if len(chosen) > most:
        chosen = np.sort(rng.choice(chosen, most, replace=False))
    count = len(chosen)
    row = {
        "input_image": mold_image(image, config),
        "input_image_meta": meta.astype(np.float32),
        "input_gt_class_ids": np.zeros(most, np.int32),
        "input_gt_boxes": np.zeros((most, 4), np.float32),
        "input_keys": rng.random(key_count(config), np.float32),
    }
    row["input_gt_class_ids"][:count] = class_ids[chosen]
    row["input_gt_boxes"][:count] = boxes[chosen]
    if config.USE_MASKS and masks is not None:
        row["input_gt_masks"] = np.zeros((*masks.shape[:2], most), bool)
        row["input_gt_masks"][:, :, :count] = masks[:, :, chosen]
    return row
