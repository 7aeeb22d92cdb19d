"""The training of Mask R-CNN: `mrcnn` on studies, kept in Matterport's format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.maskrcnn.network import add_backbone, configure, describe
from pneumonia.models.maskrcnn.trained import Detector
from pneumonia.training import batches as training_data
from pneumonia.training.detection import Boxes, corners_of, most_boxes, training_metrics, validation

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from keraskit.training.fit import Phase
    from mrcnn.config import Config
    from pneumonia.data.store import ShardStore
    from pneumonia.training.augmentation import Augmenter

COCO = "mask_rcnn_coco.h5"  # Matterport's release, under weights/
OF_CLASSES = ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask")  # layers whose shape the number of classes decides
HEADS = r"^(mrcnn_|rpn_|fpn_)"


def train(
    store: ShardStore,
    studies: pd.DataFrame,
    boxes: pd.DataFrame,
    out: Path,
    state: Path | None,
    *,
    backbone: str,
    weights: str,
    masks: bool,
    anchors: Mapping[str, Any],
    phases: Sequence[Mapping[str, Any]],
    batch_size: int,
    learning_rate: float,
    backbone_rate: float,
    warmup: float,
    weight_decay: float,
    clip_norm: float,
    rpn_positive_iou: float,
    rpn_train_anchors: int,
    rpn_positive_ratio: float,
    train_rois: int,
    roi_positive_ratio: float,
    negatives_per_positive: float,
    monitor: str,
    patience: int,
    seed: int,
    augmentation: Mapping[str, float],
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> training_data.Trained:
    """Train on the studies of subset `train`, stop early by AP at IoU 0.5 (or loss) on those of `validation`, write `out`.

    Arguments:
        store: images of the training's size, a multiple of 64.
        studies: columns `study`, `subset`, `target` (1 where it has boxes); other subsets are not looked at.
        boxes: columns `study`, `x`, `y`, `width`, `height`, pixels of the original image.
        out: folder for `model.json` and `mask_rcnn.h5`; replaced whole at the end.
        state: resume file of the training, removed at its end; None: not resumable.
        weights: `none`, `imagenet` (of the backbone), `coco` (Matterport's release, for `resnet101`), or a file.
        masks: train a mask head too, on masks that are the boxes.
        anchors: `scales` (pixels of the resized image, one a pyramid level, see `network.STRIDES`; `auto`:
            three from the training boxes) and `ratios` (width / height).
        phases: `layers` (heads, 3+, 4+, 5+, all, or a regular expression of layer names), `epochs`, `rate` (multiple of
            `learning_rate`), one after the other.
        on_epoch: called with number and row of each epoch, also of those read from `state`.

    The others mirror the section `maskrcnn` of params.yaml. The caller has set device, precision and seeds
    (`keraskit.compute.devices`).

    Raises ValueError for impossible sizes, anchors and weights, or a training subset without studies.
    """
    from keraskit.training.fit import fit_phases, forget
    from mrcnn import weights as weight_files
    from mrcnn.network import Network
    from mrcnn.parts.anchors import anchor_recall, anchor_scales
    from pneumonia.training.augmentation import Augmenter

    train_studies = studies[studies["subset"] == "train"]
    held_out = sorted(studies["study"][studies["subset"] == "validation"])
    training_boxes = training_data.resized_boxes(store, boxes, train_studies["study"])
    truths = training_data.resized_boxes(store, boxes, held_out)
    scales = anchors["scales"]
    if scales == "auto":
        scales = anchor_scales(corners_of(training_boxes), 3)
    described = describe(store.size, backbone, weights, masks, scales, anchors["ratios"])
    config = configure(
        described,
        IMAGES_PER_GPU=batch_size,
        MAX_GT_INSTANCES=most_boxes(training_boxes, truths),
        RPN_POSITIVE_IOU=rpn_positive_iou,
        RPN_TRAIN_ANCHORS_PER_IMAGE=rpn_train_anchors,
        RPN_POSITIVE_RATIO=rpn_positive_ratio,
        TRAIN_ROIS_PER_IMAGE=train_rois,
        ROI_POSITIVE_RATIO=roi_positive_ratio,
        SEED=seed,
    )
    stages = add_backbone(config, described, "imagenet" if described["imagenet"] else "none")
    network = Network(config)
    model = network.training_model()
    if weights not in ("none", "imagenet"):
        _load_weights(model, weights)

    def epoch_batches(epoch: int) -> list[list[str]]:
        listed = training_data.epoch_studies(train_studies, negatives_per_positive, epoch, seed)
        return training_data.full_batches(listed, batch_size)

    augmenter = Augmenter(**augmentation)

    def batches(epoch: int) -> keras.utils.PyDataset:
        return _dataset(config, store, epoch_batches(epoch), training_boxes, augmenter, (seed, epoch))

    def loss() -> float:
        listed = training_data.full_batches(held_out, batch_size)
        data = _dataset(config, store, listed, truths, None, (seed, 0))
        return float(model.evaluate(data, verbose=0, return_dict=True)["loss"])

    check = validation(Detector(network).detect, store, held_out, truths, monitor, loss)
    steps = len(epoch_batches(1))
    rates = {
        "warmup": warmup,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "multipliers": {HEADS: 1.0, ".": backbone_rate},
    }
    parts = _phases(model, phases, stages, steps, patience, learning_rate, rates)
    history = fit_phases(model, batches, parts, state=state, on_epoch=on_epoch, **check._asdict())
    with files.fresh_dir(out) as folder:
        weight_files.save(model, folder / "mask_rcnn.h5")
        files.write_json(folder / "model.json", described)
    forget(state, len(parts))
    metrics = training_metrics(history, check, training_boxes) | {
        "anchor_scales": described["scales"],
        "anchor_recall": anchor_recall(network.anchors, corners_of(training_boxes)[:, [1, 0, 3, 2]]),
        "parameters": int(model.count_params()),
    }
    return training_data.Trained(metrics, history)


def _load_weights(model: keras.Model, weights: str) -> None:
    from mrcnn import weights as weight_files
    from mrcnn.download import download_trained_weights
    from pneumonia.models.weights import obtain, resolve

    if weights == "coco":
        path = obtain(COCO, download_trained_weights)
        weight_files.load(model, path, by_name=True, exclude=OF_CLASSES)
    else:
        weight_files.load(model, resolve(weights), by_name=True)


def _phases(
    model: Any,
    phases: Sequence[Mapping[str, Any]],
    stages: Mapping[str, str],
    steps: int,
    patience: int,
    learning_rate: float,
    rates: Mapping[str, Any],
) -> list[Phase]:
    """Each of `phases` trains its layers at its own rate; stages: what `3+` and so on mean as a regular expression."""
    from keraskit.compute.backend import jit_compile
    from keraskit.training.fit import Phase
    from keraskit.training.optimizers import adamw
    from mrcnn.weights import set_trainable

    def prepare(phase: Mapping[str, Any]) -> None:
        set_trainable(model, stages.get(phase["layers"], phase["layers"]))
        optimizer = adamw(learning_rate * phase["rate"], phase["epochs"] * steps, **rates)
        model.compile(optimizer=optimizer, jit_compile=jit_compile())

    return [
        Phase(int(phase["epochs"]), partial(prepare, phase), patience, f"maskrcnn, {phase['layers']}")
        for phase in phases
    ]


def _dataset(
    config: Config,
    store: ShardStore,
    batches: list[list[str]],
    boxes: Boxes,
    augmenter: Augmenter | None,
    place: tuple[int, int],
) -> keras.utils.PyDataset:
    from mrcnn.network import key_count

    keys, most = key_count(config), config.MAX_GT_INSTANCES
    meta = np.ones(config.IMAGE_META_SIZE, np.float32)  # training reads of it only that every class is active

    def batch(index: int) -> dict[str, NDArray[Any]]:
        images, moved = training_data.load_batch(store, batches[index], boxes, augmenter, (*place, index))
        size = len(images)
        rows: dict[str, NDArray[Any]] = {
            "input_image": images[..., None],
            "input_image_meta": np.tile(meta, (size, 1)),
            "input_gt_class_ids": np.zeros((size, most), np.int32),
            "input_gt_boxes": np.zeros((size, most, 4), np.float32),
            "input_keys": np.random.default_rng((*place, index, 1)).random((size, keys), np.float32),
        }
        for i, own in enumerate(moved):
            rows["input_gt_class_ids"][i, : len(own)] = 1
            rows["input_gt_boxes"][i, : len(own)] = own[:, [1, 0, 3, 2]]
        if config.USE_MASKS:  # the whole of a box is the mask
            rows["input_gt_masks"] = np.ones((size, *config.MINI_MASK_SHAPE, most), bool)
        return rows

    return training_data.dataset(batch, len(batches))
