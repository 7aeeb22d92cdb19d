"""Batches with what they teach, as Matterport's data loader made them: for a look at them. A training makes its targets in the
graph (`mrcnn.parts.targets`), by the same functions.

Random choices are drawn from NumPy's global generator, so `np.random.seed` decides them.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops

from mrcnn.config import Config
from mrcnn.dataset import DataGenerator, Dataset
from mrcnn.parts.anchors import denorm_boxes, norm_boxes, pyramid_anchors
from mrcnn.parts.targets import detection_targets, mask_targets, roi_options, rpn_options, rpn_targets


def data_generator(
    dataset: Dataset,
    config: Config,
    shuffle: bool = True,
    augment: bool = False,
    augmentation: Any = None,
    random_rois: int = 0,
    batch_size: int = 1,
    detection_targets: bool = False,
    no_augmentation_sources: Sequence[str] | None = None,
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Batches without end: the images of `DataGenerator`, in Matterport's lists.

    Arguments:
        augment: flip every second image from left to right.
        random_rois: regions made up for each image, as if they were proposals; 0 for none.
        detection_targets: what the second stage is taught about them.

    Returns:
        `(inputs, outputs)`. inputs: molded images, metas, `rpn_match` `[B, A, 1]`, `rpn_bbox`, class_ids and boxes int32 padded
        to `MAX_GT_INSTANCES`, masks (with `USE_MASKS`); with `random_rois` the regions int32 `[B, random_rois, 4]` pixels, and with
        `detection_targets` those of them that are taught, `[B, TRAIN_ROIS_PER_IMAGE, 4]`. outputs: those of `detection_targets`,
        `[class_ids [B, R, 1], deltas, masks]` of `build_detection_targets`, else empty.
    """
    own = copy.copy(config)
    own.BATCH_SIZE, own.SEED = batch_size, int(np.random.randint(2**31))  # noqa: NPY002
    batches = DataGenerator(
        dataset, own, shuffle, augmentation, augment=augment, no_augmentation_sources=no_augmentation_sources
    )
    anchors = pyramid_anchors(own)
    for index in itertools.count():
        batch = batches[index]
        ids, boxes = batch["input_gt_class_ids"], batch["input_gt_boxes"].astype(np.int32)
        masks = [batch["input_gt_masks"]] if own.USE_MASKS else []
        match, deltas = _rpn_targets(anchors, ids, boxes, batch["input_keys"][:, : len(anchors)], own)
        inputs = [batch["input_image"], batch["input_image_meta"], match[..., None], deltas, ids, boxes, *masks]
        outputs: list[np.ndarray] = []
        if random_rois:
            rois = [
                generate_random_rois(own.IMAGE_SHAPE, random_rois, *_real(ids[i], boxes[i])) for i in range(batch_size)
            ]
            inputs.append(np.stack(rois))
            if detection_targets:
                masks_of = masks[0] if masks else [None] * batch_size
                parts = zip(rois, ids, boxes, masks_of, strict=True)
                taught = [build_detection_targets(*part, own) for part in parts]
                chosen, class_ids, *rest = (np.stack(part) for part in zip(*taught, strict=True))
                inputs.append(chosen)
                outputs = [class_ids[..., None], *rest]
        yield inputs, outputs


def build_rpn_targets(
    image_shape: Sequence[int], anchors: np.ndarray, gt_class_ids: np.ndarray, gt_boxes: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """What the first stage is taught about one image, `mrcnn.parts.targets.rpn_targets`.

    Arguments:
        image_shape: not looked at; Matterport's argument.
        anchors: `[A, (y1, x1, y2, x2)]` pixels, `MaskRCNN.anchors`.
        gt_class_ids, gt_boxes: `[n]` and `[n, (y1, x1, y2, x2)]` pixels, of `load_image_gt`.

    Returns:
        match int32 `[A]` (1 positive, -1 negative, 0 neither), deltas float32 `[RPN_TRAIN_ANCHORS_PER_IMAGE, 4]` of the
        positive anchors in order, zeros after them.
    """
    if not len(gt_class_ids):
        gt_class_ids, gt_boxes = np.zeros(1, np.int32), np.zeros((1, 4))
    ids, boxes = (np.asarray(part)[None] for part in (gt_class_ids, gt_boxes))
    match, deltas = _rpn_targets(anchors, ids, boxes, _keys(len(anchors)), config)
    return match[0], deltas[0]


def _rpn_targets(
    anchors: np.ndarray, ids: np.ndarray, boxes: np.ndarray, keys: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """`rpn_targets` of a batch, from and to NumPy."""
    tensors = _tensor(ids, np.int32), _tensor(boxes), _tensor(keys)
    match, deltas = (ops.convert_to_numpy(x) for x in rpn_targets(anchors, *tensors, **rpn_options(config)))
    padding = max(0, config.RPN_TRAIN_ANCHORS_PER_IMAGE - deltas.shape[1])
    return match.astype(np.int32), np.pad(deltas, [(0, 0), (0, padding), (0, 0)])


def generate_random_rois(
    image_shape: Sequence[int] | np.ndarray, count: int, gt_class_ids: np.ndarray, gt_boxes: np.ndarray
) -> np.ndarray:
    """Made up regions int32 `[count, (y1, x1, y2, x2)]`, pixels: nine of ten about the instances' boxes `[n, 4]`, up to their size
    beside them, the others anywhere in the image."""
    rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002
    height, width = (int(side) for side in image_shape[:2])
    each = int(0.9 * count / max(len(gt_boxes), 1))
    frames = [(y1 - (y2 - y1), x1 - (x2 - x1), y2 + (y2 - y1), x2 + (x2 - x1)) for y1, x1, y2, x2 in gt_boxes]
    numbers = [each] * len(frames) + [count - each * len(frames)]
    rois = []
    for (y1, x1, y2, x2), number in zip([*frames, (0, 0, height, width)], numbers, strict=True):
        sides = []
        for low, high, side in ((y1, y2, height), (x1, x2, width)):
            low, high = max(int(low), 0), min(int(high), side)
            ends = np.sort(rng.integers(low, high + 1, (number, 2)), axis=1)
            start = np.minimum(ends[:, 0], high - 1)
            sides.append((start, np.maximum(ends[:, 1], start + 1)))  # a pixel at least
        (top, bottom), (left, right) = sides
        rois.append(np.stack([top, left, bottom, right], axis=1))
    return np.concatenate(rois).astype(np.int32)


def build_detection_targets(
    rpn_rois: np.ndarray, gt_class_ids: np.ndarray, gt_boxes: np.ndarray, gt_masks: np.ndarray | None, config: Config
) -> tuple[np.ndarray, ...]:
    """What the second stage is taught about the regions of one image, `mrcnn.parts.targets.detection_targets`.

    Arguments:
        rpn_rois: `[N, (y1, x1, y2, x2)]` pixels.
        gt_class_ids, gt_boxes: `[n]` and `[n, (y1, x1, y2, x2)]` pixels; 0 and zeros are padding.
        gt_masks: `[h, w, n]`, small ones with `USE_MINI_MASK`; None for no masks.

    Returns:
        rois int32 `[R, 4]` pixels, R being `TRAIN_ROIS_PER_IMAGE`, positives first, zeros where there are fewer; class_ids int32
        `[R]`; deltas float32 `[R, NUM_CLASSES, 4]`, those of the region's class alone; masks float32 `[R, *MASK_SHAPE,
        NUM_CLASSES]` of zeros and ones, likewise, where there are any.
    """
    if not len(gt_class_ids):
        gt_class_ids, gt_boxes = np.zeros(1, np.int32), np.zeros((1, 4))
        gt_masks = None if gt_masks is None else np.zeros((*gt_masks.shape[:2], 1), bool)
    shape = config.IMAGE_SHAPE
    boxes = _tensor(norm_boxes(np.asarray(gt_boxes), shape)[None])
    rois, ids, deltas, instances = detection_targets(
        _tensor(norm_boxes(np.asarray(rpn_rois), shape)[None]),
        _tensor(np.asarray(gt_class_ids)[None], np.int32),
        boxes,
        _tensor(_keys(len(rpn_rois))),
        **roi_options(config),
    )
    class_ids = ops.convert_to_numpy(ids)[0]
    there = np.any(ops.convert_to_numpy(rois)[0] != 0, axis=1)
    result = [
        np.where(there[:, None], denorm_boxes(ops.convert_to_numpy(rois)[0], shape), 0).astype(np.int32),
        class_ids.astype(np.int32),
        np.zeros((len(class_ids), config.NUM_CLASSES, 4), np.float32),
    ]
    positive = np.flatnonzero(class_ids)
    result[2][positive, class_ids[positive]] = ops.convert_to_numpy(deltas)[0, positive]
    if gt_masks is not None:
        small = mask_targets(
            rois, instances, boxes, _tensor(gt_masks[None]), tuple(config.MASK_SHAPE), config.USE_MINI_MASK
        )
        masks = np.zeros((len(class_ids), *config.MASK_SHAPE, config.NUM_CLASSES), np.float32)
        masks[positive, :, :, class_ids[positive]] = ops.convert_to_numpy(small)[0, positive]
        result.append(masks)
    return tuple(result)


def _real(ids: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Instances without crowds and padding."""
    return ids[ids > 0], boxes[ids > 0]


def _keys(count: int) -> np.ndarray:
    return np.random.random((1, count))  # noqa: NPY002


def _tensor(values: np.ndarray, dtype: Any = np.float32) -> Any:
    return ops.convert_to_tensor(np.asarray(values, dtype))
