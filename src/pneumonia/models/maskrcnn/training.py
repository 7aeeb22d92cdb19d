"""The training of Mask R-CNN: `mrcnn` on studies, kept in Matterport's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.maskrcnn.network import OF_BACKBONE, add_backbone, configure, describe
from pneumonia.models.maskrcnn.trained import Detector
from pneumonia.models.weights import obtain, resolve
from pneumonia.training import detection, story

if TYPE_CHECKING:
    import keras

    from keraskit.training.fit import Phase
    from mrcnn.config import Config
    from mrcnn.network import Network
    from pneumonia.training.groups import Optimization, Stopping

COCO = "mask_rcnn_coco.h5"  # Matterport's release, under weights/
OF_CLASSES = ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask")  # layers whose shape the number of classes decides
HEADS = r"^(mrcnn_|rpn_|fpn_)"


@dataclass(frozen=True)
class Architecture:
    """The network that is trained.

    Attributes:
        backbone: see `network.add_backbone`.
        weights: `none`, `imagenet` or `pretrained` (of the backbone), `coco` (Matterport's release, for `resnet101`), or a
            file.
        masks: a mask head too, trained on masks that are the boxes.
        anchors: `scales` (pixels of the resized image, one a pyramid level, see `network.STRIDES`; `auto`: three from the
            training boxes) and `ratios` (width / height).
        head_norm: `batch` or `layer`, of the box head.
    """

    backbone: str
    weights: str
    masks: bool
    anchors: Mapping[str, Any]
    head_norm: str


@dataclass(frozen=True)
class Targets:
    """The anchors and regions that the losses learn from.

    Attributes:
        rpn_positive_iou: IoU with a box that makes an anchor positive.
        rpn_train_anchors: anchors an image in the loss of the proposals.
        rpn_positive_ratio: share of them that may be positive.
        train_rois: regions an image in the loss of the boxes.
        roi_positive_ratio: share of them that may be positive.
    """

    rpn_positive_iou: float
    rpn_train_anchors: int
    rpn_positive_ratio: float
    train_rois: int
    roi_positive_ratio: float


@dataclass(frozen=True)
class Losses:
    """How much the boxes weigh in the loss; docs/training.md says what that does.

    Attributes:
        box_losses: over what the two losses of boxes are taken, `positives` (Matterport's) or `sampled` (torchvision's).
        rpn_box_weight: of the box loss of the proposals; the others weigh 1.
    """

    box_losses: str
    rpn_box_weight: float


def train(
    data: story.TrainingData,
    out: Path,
    state: Path | None,
    *,
    architecture: Architecture,
    targets: Targets,
    losses: Losses,
    phases: Sequence[Mapping[str, Any]],
    stopping: Stopping,
    optimization: Optimization,
    average: float = 0.0,
    on_epoch: story.OnEpoch | None = None,
) -> story.Trained:
    """Train, stop early by AP at IoU 0.5 (or loss) of the validation studies, write `model.json` and `mask_rcnn.h5`.

    The caller has set device, precision and seeds (`keraskit.compute.devices`).

    Arguments:
        data: images of a multiple of 64 pixels, with boxes.
        out, state, on_epoch: as in `story.run`.
        phases: one after the other; `layers` (heads, 3+, 4+, 5+, all, or a regular expression of layer names), `epochs`,
            `rate` (multiple of `learning_rate`).
        average: decay of the average of the weights, which is what is validated and written; 0: the weights themselves.

    Raises:
        ValueError: impossible sizes, anchors or weights, or no study to train on.
    """
    from mrcnn.network import Network

    described = _describe(architecture, data)
    config = _configure(described, targets, losses, data)
    layers = add_backbone(config, described, resolve(architecture.weights) if described["imagenet"] else "none")
    network = Network(config)
    model = network.training_model()
    _load_weights(model, architecture.weights)
    batch = _batch_of(config)
    task = story.Task(
        model,
        batch,
        _phases(model, phases, layers, data.steps, stopping.patience, optimization, average),
        detection.validation(Detector(network).detect, data, stopping.monitor, lambda: data.loss(model, batch)),
        lambda folder, history: _write(folder, model, described),
        lambda best: {**detection.metrics(best, data), **_metrics(model, network, described, data)},
    )
    return story.run(task, data, out, state, on_epoch)


def _describe(architecture: Architecture, data: story.TrainingData) -> dict[str, Any]:
    from mrcnn.parts.anchors import anchor_scales

    a, scales = architecture, architecture.anchors["scales"]
    if scales == "auto":
        scales = anchor_scales(detection.corners_of(data.train_boxes), 3)
    return describe(data.store.size, a.backbone, a.weights, a.masks, scales, a.anchors["ratios"], a.head_norm)


def _configure(described: Mapping[str, Any], targets: Targets, losses: Losses, data: story.TrainingData) -> Config:
    return configure(
        described,
        IMAGES_PER_GPU=data.sampling.batch_size,
        MAX_GT_INSTANCES=detection.most_boxes(data),
        RPN_POSITIVE_IOU=targets.rpn_positive_iou,
        RPN_TRAIN_ANCHORS_PER_IMAGE=targets.rpn_train_anchors,
        RPN_POSITIVE_RATIO=targets.rpn_positive_ratio,
        TRAIN_ROIS_PER_IMAGE=targets.train_rois,
        ROI_POSITIVE_RATIO=targets.roi_positive_ratio,
        BBOX_LOSSES_PER_SAMPLE=losses.box_losses == "sampled",
        LOSS_WEIGHTS={"rpn_bbox_loss": losses.rpn_box_weight},
        SEED=data.sampling.seed,
    )


def _load_weights(model: keras.Model, weights: str) -> None:
    from mrcnn import weights as weight_files
    from mrcnn.download import download_trained_weights

    if weights in ("none", *OF_BACKBONE):  # the backbone has them
        return
    if weights == "coco":
        path = obtain(COCO, download_trained_weights)
        weight_files.load(model, path, by_name=True, exclude=OF_CLASSES)
    else:
        weight_files.load(model, resolve(weights), by_name=True)


def _phases(
    model: Any,
    phases: Sequence[Mapping[str, Any]],
    layers: Mapping[str, str],
    steps: int,
    patience: int,
    optimization: Optimization,
    average: float,
) -> list[Phase]:
    """Each of `phases` trains its layers at its own rate.

    Arguments:
        layers: what `3+` and so on mean as a regular expression.
    """
    from keraskit.compute.backend import jit_compile
    from keraskit.training.fit import Phase
    from mrcnn.weights import set_trainable

    def prepare(phase: Mapping[str, Any]) -> None:
        set_trainable(model, layers.get(phase["layers"], phase["layers"]))
        optimizer = optimization.optimizer(phase["epochs"] * steps, HEADS, phase["rate"], average)
        model.compile(optimizer=optimizer, jit_compile=jit_compile())

    return [
        Phase(int(phase["epochs"]), partial(prepare, phase), patience, f"maskrcnn, {phase['layers']}")
        for phase in phases
    ]


def _batch_of(config: Config) -> story.Batch:
    from mrcnn.network import key_count

    keys, most = key_count(config), config.MAX_GT_INSTANCES
    meta = np.ones(config.IMAGE_META_SIZE, np.float32)  # training reads of it only that every class is active

    def batch(
        names: Sequence[str], images: NDArray[np.uint8], boxes: list[NDArray[np.float32]], place: story.Place
    ) -> dict[str, NDArray[Any]]:
        size = len(images)
        rows: dict[str, NDArray[Any]] = {
            "input_image": images[..., None],
            "input_image_meta": np.tile(meta, (size, 1)),
            "input_gt_class_ids": np.zeros((size, most), np.int32),
            "input_gt_boxes": np.zeros((size, most, 4), np.float32),
            "input_keys": np.random.default_rng((*place, 1)).random((size, keys), np.float32),
        }
        for i, own in enumerate(boxes):
            rows["input_gt_class_ids"][i, : len(own)] = 1
            rows["input_gt_boxes"][i, : len(own)] = own[:, [1, 0, 3, 2]]
        if config.USE_MASKS:  # the whole of a box is the mask
            rows["input_gt_masks"] = np.ones((size, *config.MINI_MASK_SHAPE, most), bool)
        return rows

    return batch


def _metrics(
    model: keras.Model, network: Network, described: Mapping[str, Any], data: story.TrainingData
) -> dict[str, Any]:
    from mrcnn.parts.anchors import anchor_recall

    corners = detection.corners_of(data.train_boxes)
    return {
        "anchor_scales": described["scales"],
        "anchor_recall": anchor_recall(network.anchors, corners[:, [1, 0, 3, 2]]),
        "parameters": int(model.count_params()),
    }


def _write(folder: Path, model: keras.Model, described: Mapping[str, Any]) -> None:
    from mrcnn import weights as weight_files

    weight_files.save(model, folder / "mask_rcnn.h5")
    files.write_json(folder / "model.json", described)
