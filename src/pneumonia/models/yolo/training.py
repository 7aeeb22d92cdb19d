"""The training of YOLOv3: `yolov3` on studies, kept in Darknet's formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.yolo.trained import Detector
from pneumonia.training import detection, story
from pneumonia.training.detection import Boxes, corners_of

if TYPE_CHECKING:
    from keraskit.training.fit import Phase
    from pneumonia.training.groups import Epochs, Stopping
    from yolov3.cfg import Description
    from yolov3.model import Yolo

SCALE_EVERY = 10  # batches of one size, with multi_scale (Redmon and Farhadi 2017, "YOLO9000", section 2)
SCALE_STEPS = (-2, -1, 0, 1, 2)  # times 32 pixels: few sizes, since each is compiled once


@dataclass(frozen=True)
class Architecture:
    """The network that is trained.

    Attributes:
        network: `yolov3` or `yolov3-tiny`.
        weights: `none`, or a Darknet `.weights` file, whole or truncated, of any number of classes.
        anchors: `auto` (k-means on the training boxes), `coco` (scaled to the size), or (width, height) in pixels of the
            resized image.
        multi_scale: another input size every ten batches.
    """

    network: str
    weights: str | Path
    anchors: str | Sequence[Sequence[float]]
    multi_scale: bool


@dataclass(frozen=True)
class Objective:
    """What the network learns to be right about.

    Attributes:
        loss: `ciou` or `darknet`.
        ignore_threshold: IoU above which a wrong anchor is not punished.
        objectness_balance: weight of the objectness of empty cells.
        label_smoothing: the objectness of a cell that holds a box should be 1 - this.
    """

    loss: str
    ignore_threshold: float
    objectness_balance: float
    label_smoothing: float


@dataclass(frozen=True)
class Optimization:
    """How the network learns, in Darknet's words.

    Attributes:
        learning_rate: peak, after the burn-in.
        schedule: after it, `cosine` or `steps`.
        burn_in: share of the steps with rising learning rate.
        weight_decay: decoupled, on kernels only.
        clip_norm: bound on the global norm of the gradient.
        average: decay of the average of the weights, which is what is validated and written; 0: the weights themselves.
    """

    learning_rate: float
    schedule: str
    burn_in: float
    weight_decay: float
    clip_norm: float
    average: float


def train(
    data: story.TrainingData,
    out: Path,
    state: Path | None,
    *,
    architecture: Architecture,
    objective: Objective,
    epochs: Epochs,
    stopping: Stopping,
    optimization: Optimization,
    on_epoch: story.OnEpoch | None = None,
) -> story.Trained:
    """Train, stop early by AP at IoU 0.5 (or loss) of the validation studies, write `model.json`, `.cfg`, `.weights`.

    The caller has set device, precision and seeds (`keraskit.compute.devices`).

    Arguments:
        data: images of a multiple of 32 pixels, with boxes.
        out, state, on_epoch: as in `story.run`.

    Raises:
        ValueError: impossible sizes, anchors or weights, or no study to train on.
    """
    model = _build(architecture, objective, data)
    batch = _batch_of(detection.most_boxes(data), architecture.multi_scale)
    detect = Detector(model.network, model.description).detect
    task = story.Task(
        model,
        batch,
        _phases(model, architecture.network, epochs, data.steps, stopping.patience, optimization),
        detection.validation(detect, data, stopping.monitor, lambda: data.loss(model, batch)),
        lambda folder, history: _write(
            folder, model, architecture.network, seen=len(history) * data.steps * data.sampling.batch_size
        ),
        lambda best: {**detection.metrics(best, data), **_metrics(model, data)},
    )
    return story.run(task, data, out, state, on_epoch)


def choose_anchors(
    anchors: str | Sequence[Sequence[float]], network: str, size: int, training_boxes: Boxes, seed: int
) -> list[tuple[float, float]] | None:
    """(width, height) in pixels of the resized image, from small to large; None for COCO's."""
    from yolov3 import architectures
    from yolov3.anchors import kmeans

    if anchors == "coco":
        return None
    if anchors == "auto":
        found = kmeans(_sizes(training_boxes), len(architectures.COCO_ANCHORS[network]), seed)
        return [(round(float(width), 2), round(float(height), 2)) for width, height in found]
    if isinstance(anchors, str):
        raise ValueError(f"anchors must be coco, auto or a list of widths and heights, got {anchors!r}")
    return [(float(width), float(height)) for width, height in anchors]


def _build(architecture: Architecture, objective: Objective, data: story.TrainingData) -> Yolo:
    from yolov3 import architectures
    from yolov3.model import Yolo

    a, o, seed = architecture, objective, data.sampling.seed
    anchors = choose_anchors(a.anchors, a.network, data.store.size, data.train_boxes, seed)
    description = architectures.describe(a.network, data.store.size, 1, anchors, o.ignore_threshold)
    model = Yolo(description, o.loss, o.objectness_balance, a.multi_scale, seed, o.label_smoothing)
    if str(a.weights) != "none":
        _load_weights(model, description, a.weights)
    return model


def _load_weights(model: Yolo, description: Description, weights: str | Path) -> None:
    """Fill what fits from a Darknet file (see `yolov3.weights.transfer`)."""
    from pneumonia.models.weights import resolve
    from yolov3.weights import transfer

    path = resolve(str(weights))
    if not isinstance(path, Path):
        raise ValueError(f"yolo.weights must be none or a Darknet .weights file, got {weights!r}")
    transfer(model.network, description, path)


def _phases(
    model: Yolo, network: str, epochs: Epochs, steps: int, patience: int, optimization: Optimization
) -> list[Phase]:
    """The heads alone, the layers of the backbone frozen; then everything."""
    from keraskit.compute.backend import jit_compile
    from keraskit.training.optimizers import adamw
    from yolov3.architectures import BACKBONE_LAYERS
    from yolov3.network import set_trainable

    o = optimization

    def prepare(steps: int, only_heads: bool) -> None:
        set_trainable(model.network, not only_heads, before=BACKBONE_LAYERS[network])
        optimizer = adamw(
            o.learning_rate, steps, o.burn_in, o.weight_decay, o.clip_norm, schedule=o.schedule, average=o.average
        )
        model.compile(optimizer=optimizer, jit_compile=jit_compile())

    return story.heads_first(epochs, steps, patience, prepare, "yolo")


def _batch_of(most: int, multi_scale: bool) -> story.Batch:
    """Batches with room for `most` boxes a study."""

    def batch(
        names: Sequence[str], images: NDArray[np.uint8], boxes: list[NDArray[np.float32]], place: story.Place
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        padded = np.zeros((len(images), most, 4), np.float32)
        for row, own in zip(padded, boxes, strict=True):
            row[: len(own)] = own
        if multi_scale and place.epoch:
            rng = np.random.default_rng((place.seed, place.epoch, place.number // SCALE_EVERY, 1))
            return _rescaled(images, padded, rng)
        return images, padded

    return batch


def _rescaled(
    images: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A batch at another size, of up to 64 pixels more or less."""
    import cv2

    size = images.shape[1]
    sizes = [size + 32 * step for step in SCALE_STEPS if size + 32 * step >= max(64, size // 2)]
    new = int(rng.choice(sizes))
    if new == size:
        return images, boxes
    how = cv2.INTER_AREA if new < size else cv2.INTER_LINEAR
    return np.stack([cv2.resize(image, (new, new), interpolation=how) for image in images]), boxes * (new / size)


def _sizes(boxes: Boxes) -> NDArray[np.float32]:
    corners = corners_of(boxes)
    return corners[:, 2:] - corners[:, :2]


def _metrics(model: Yolo, data: story.TrainingData) -> dict[str, Any]:
    from yolov3.anchors import mean_iou

    sizes, anchors = _sizes(data.train_boxes), model.description.heads[0].anchors
    return {
        "anchors": [list(anchor) for anchor in anchors],
        "anchors_mean_iou": mean_iou(sizes, anchors) if len(sizes) else None,
        "parameters": int(model.network.count_params()),
    }


def _write(folder: Path, model: Yolo, network: str, seen: int) -> None:
    from yolov3 import cfg, weights

    (folder / "model.cfg").write_text(cfg.to_text(model.description), encoding="utf-8")
    weights.save(model.network, folder / "model.weights", weights.Header(seen=seen))
    described = {
        "network": network,
        "image_size": model.description.width,
        "cfg": "model.cfg",
        "weights": "model.weights",
    }
    files.write_json(folder / "model.json", described)
