"""The training of EfficientDet: `efficientdet` on studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.efficientdet.network import build, describe
from pneumonia.models.efficientdet.trained import Detector
from pneumonia.training import detection, story

if TYPE_CHECKING:
    from efficientdet.model import EfficientDet
    from keraskit.training.fit import Phase
    from pneumonia.training.groups import Epochs, Optimization, Stopping

HEADS = r"^(bifpn_|class_|box_)"


@dataclass(frozen=True)
class Architecture:
    """The network that is trained.

    Attributes:
        size: `d0`, `d1` or `d2`: width and depth of pyramid and heads.
        backbone: see `pneumonia.models.backbones.pyramid.build`.
        weights: of the backbone: `none`, `imagenet`, or a file.
        norm: `group` or `batch`, of pyramid and heads.
        anchor_scale: side of a level's smallest square anchor, in cells.
        anchor_ratios: width / height.
    """

    size: str
    backbone: str
    weights: str
    norm: str
    anchor_scale: float
    anchor_ratios: Sequence[float]


@dataclass(frozen=True)
class Matching:
    """Which anchors answer for a box.

    Attributes:
        positive_iou: IoU with a box from which an anchor answers for it.
        negative_iou: IoU with every box below which it answers for nothing.
    """

    positive_iou: float
    negative_iou: float


def train(
    data: story.TrainingData,
    out: Path,
    state: Path | None,
    *,
    architecture: Architecture,
    matching: Matching,
    epochs: Epochs,
    stopping: Stopping,
    optimization: Optimization,
    average: float = 0.0,
    on_epoch: story.OnEpoch | None = None,
) -> story.Trained:
    """Train, stop early by AP at IoU 0.5 (or loss) of the validation studies, write `model.json` and `model.weights.h5`.

    The caller has set device, precision and seeds (`keraskit.compute.devices`).

    Arguments:
        data: images of a multiple of 32 pixels, with boxes.
        out, state, on_epoch: as in `story.run`.
        average: decay of the average of the weights, which is what is validated and written; 0: the weights themselves.

    Raises:
        ValueError: impossible sizes or weights, or no study to train on.
    """
    from pneumonia.models.weights import resolve

    a = architecture
    described = describe(
        data.store.size, a.size, a.backbone, a.weights != "none", a.norm, a.anchor_scale, a.anchor_ratios
    )
    model = build(described, resolve(a.weights), positive_iou=matching.positive_iou, negative_iou=matching.negative_iou)
    batch = _batch_of(detection.most_boxes(data))
    task = story.Task(
        model,
        batch,
        _phases(model, epochs, data.steps, stopping.patience, optimization, average),
        detection.validation(Detector(model).detect, data, stopping.monitor, lambda: data.loss(model, batch)),
        lambda folder, history: _write(folder, model, described),
        lambda best: {**detection.metrics(best, data), **_metrics(model, data)},
    )
    return story.run(task, data, out, state, on_epoch)


def _phases(
    model: EfficientDet, epochs: Epochs, steps: int, patience: int, optimization: Optimization, average: float
) -> list[Phase]:
    """Pyramid and heads alone, the backbone frozen; then everything."""
    from keraskit.compute.backend import jit_compile

    def prepare(steps: int, only_heads: bool) -> None:
        model.train_backbone(not only_heads)
        optimizer = optimization.optimizer(steps, HEADS, average=average)
        model.compile(optimizer=optimizer, jit_compile=jit_compile())

    return story.heads_first(epochs, steps, patience, prepare, "efficientdet")


def _batch_of(most: int) -> story.Batch:
    """Batches with room for `most` boxes a study."""

    def batch(
        names: Sequence[str], images: NDArray[np.uint8], boxes: list[NDArray[np.float32]], place: story.Place
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        padded = np.zeros((len(images), most, 4), np.float32)
        for row, own in zip(padded, boxes, strict=True):
            row[: len(own)] = own
        return images, padded

    return batch


def _metrics(model: EfficientDet, data: story.TrainingData) -> dict[str, Any]:
    from keraskit.boxes.arrays import iou

    corners = detection.corners_of(data.train_boxes)
    best = [iou(corners[i : i + 256], model.anchors).max(axis=1) for i in range(0, len(corners), 256)]
    return {
        "anchor_recall": float((np.concatenate(best) >= model.positive_iou).mean()) if best else None,
        "parameters": int(model.network.count_params()),
    }


def _write(folder: Path, model: EfficientDet, described: dict[str, Any]) -> None:
    model.network.save_weights(folder / "model.weights.h5")
    files.write_json(folder / "model.json", described)
