"""The training of YOLOv3: `yolov3` on studies, kept in Darknet's formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.yolo.trained import Detector
from pneumonia.training import batches as training_data
from pneumonia.training.detection import Boxes, corners_of, most_boxes, training_metrics, validation

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from keraskit.training.fit import Phase
    from pneumonia.data.store import ShardStore
    from pneumonia.training.augmentation import Augmenter
    from yolov3.cfg import Description
    from yolov3.model import Yolo

SCALE_EVERY = 10  # batches of one size, with multi_scale (Redmon and Farhadi 2017, "YOLO9000", section 2)
SCALE_STEPS = (-2, -1, 0, 1, 2)  # times 32 pixels: few sizes, since each is compiled once


def train(
    store: ShardStore,
    studies: pd.DataFrame,
    boxes: pd.DataFrame,
    out: Path,
    state: Path | None,
    *,
    network: str,
    weights: str | Path,
    anchors: str | Sequence[Sequence[float]],
    loss: str,
    ignore_threshold: float,
    objectness_balance: float,
    multi_scale: bool,
    epochs: int,
    heads_epochs: int,
    batch_size: int,
    learning_rate: float,
    schedule: str,
    burn_in: float,
    weight_decay: float,
    clip_norm: float,
    negatives_per_positive: float,
    monitor: str,
    patience: int,
    seed: int,
    augmentation: Mapping[str, float],
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> training_data.Trained:
    """Train on the studies of subset `train`, stop early by AP at IoU 0.5 (or loss) on those of `validation`, write `out`.

    Arguments:
        store: images of the training's size, a multiple of 32.
        studies: columns `study`, `subset`, `target` (1 where it has boxes); other subsets are not looked at.
        boxes: columns `study`, `x`, `y`, `width`, `height`, pixels of the original image.
        out: folder for `model.json`, `model.cfg`, `model.weights`; replaced whole at the end.
        state: resume file of the training, removed at its end; None: not resumable.
        weights: `none`, or a Darknet `.weights` file, whole or truncated, of any number of classes.
        anchors: `auto` (k-means on the training boxes), `coco` (scaled to the size), or (width, height) in pixels
            of the resized image.
        on_epoch: called with number and row of each epoch, also of those read from `state`.

    The others mirror the section `yolo` of params.yaml. The caller has set device, precision and seeds
    (`keraskit.compute.devices`).

    Raises ValueError for impossible sizes, anchors and weights, or a training subset without studies.
    """
    from keraskit.training.fit import fit_phases, forget
    from pneumonia.training.augmentation import Augmenter
    from yolov3 import architectures
    from yolov3.anchors import mean_iou
    from yolov3.model import Yolo

    train_studies = studies[studies["subset"] == "train"]
    held_out = sorted(studies["study"][studies["subset"] == "validation"])
    training_boxes = training_data.resized_boxes(store, boxes, train_studies["study"])
    chosen = choose_anchors(anchors, network, store.size, training_boxes, seed)
    description = architectures.describe(network, store.size, 1, chosen, ignore_threshold)
    model = Yolo(description, loss, objectness_balance, any_size=multi_scale, seed=seed)
    if str(weights) != "none":
        load_weights(model, description, weights)

    def epoch_batches(epoch: int) -> list[list[str]]:
        listed = training_data.epoch_studies(train_studies, negatives_per_positive, epoch, seed)
        return training_data.full_batches(listed, batch_size)

    augmenter = Augmenter(**augmentation)
    truths = training_data.resized_boxes(store, boxes, held_out)
    most = most_boxes(training_boxes, truths)

    def batches(epoch: int) -> keras.utils.PyDataset:
        return _dataset(store, epoch_batches(epoch), training_boxes, most, augmenter, multi_scale, (seed, epoch))

    def evaluate() -> float:
        listed = training_data.full_batches(held_out, batch_size)
        data = _dataset(store, listed, truths, most, None, False, (seed, 0))
        return float(model.evaluate(data, verbose=0, return_dict=True)["loss"])

    check = validation(Detector(model.network, description).detect, store, held_out, truths, monitor, evaluate)
    steps = len(epoch_batches(1))
    rates = {
        "learning_rate": learning_rate,
        "warmup": burn_in,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "schedule": schedule,
    }
    phases = _phases(model, epochs, heads_epochs, architectures.BACKBONE_LAYERS[network], steps, patience, rates)
    history = fit_phases(model, batches, phases, state=state, on_epoch=on_epoch, **check._asdict())
    _write(out, model, network, seen=len(history) * steps * batch_size)
    forget(state, len(phases))
    sizes, own_anchors = _sizes(training_boxes), description.heads[0].anchors
    metrics = training_metrics(history, check, training_boxes) | {
        "anchors": [list(anchor) for anchor in own_anchors],
        "anchors_mean_iou": mean_iou(sizes, own_anchors) if len(sizes) else None,
        "parameters": int(model.network.count_params()),
    }
    return training_data.Trained(metrics, history)


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


def load_weights(model: Yolo, description: Description, weights: str | Path) -> None:
    """Fill what fits from a Darknet file (see `yolov3.weights.transfer`)."""
    from pneumonia.models.weights import resolve
    from yolov3.weights import transfer

    path = resolve(str(weights))
    if not isinstance(path, Path):
        raise ValueError(f"yolo.weights must be none or a Darknet .weights file, got {weights!r}")
    transfer(model.network, description, path)


def _phases(
    model: Yolo, epochs: int, heads_epochs: int, backbone: int, steps: int, patience: int, rates: Mapping[str, Any]
) -> list[Phase]:
    """The heads alone for `heads_epochs`, the layers before number `backbone` frozen; then everything."""
    from keraskit.compute.backend import jit_compile
    from keraskit.training.fit import Phase
    from keraskit.training.optimizers import adamw
    from yolov3.network import set_trainable

    heads = min(heads_epochs, epochs)

    def prepare(count: int, frozen: bool) -> None:
        set_trainable(model.network, not frozen, before=backbone)
        model.compile(optimizer=adamw(total_steps=count * steps, **rates), jit_compile=jit_compile())

    return [
        Phase(heads, partial(prepare, heads, True), 0, "yolo, heads"),
        Phase(epochs - heads, partial(prepare, epochs - heads, False), patience, "yolo"),
    ]


def _dataset(
    store: ShardStore,
    batches: list[list[str]],
    boxes: Boxes,
    most: int,
    augmenter: Augmenter | None,
    multi_scale: bool,
    place: tuple[int, int],
) -> keras.utils.PyDataset:
    def batch(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        images, moved = training_data.load_batch(store, batches[index], boxes, augmenter, (*place, index))
        padded = np.zeros((len(images), most, 4), np.float32)
        for row, own in zip(padded, moved, strict=True):
            row[: len(own)] = own
        if multi_scale:
            images, padded = _rescaled(images, padded, np.random.default_rng((*place, index // SCALE_EVERY, 1)))
        return images, padded

    return training_data.dataset(batch, len(batches))


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


def _write(out: Path, model: Yolo, network: str, seen: int) -> None:
    from yolov3 import cfg, weights

    with files.fresh_dir(out) as folder:
        (folder / "model.cfg").write_text(cfg.to_text(model.description), encoding="utf-8")
        weights.save(model.network, folder / "model.weights", weights.Header(seen=seen))
        described = {
            "network": network,
            "image_size": model.description.width,
            "cfg": "model.cfg",
            "weights": "model.weights",
        }
        files.write_json(folder / "model.json", described)
