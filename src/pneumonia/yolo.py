"""The YOLOv3 detector of the pipeline: trains `yolov3` on studies, keeps it in Darknet's formats, detects with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumonia import files, training_data

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from pneumonia.augmentation import Augmenter
    from pneumonia.images import ShardStore
    from yolov3.cfg import Description
    from yolov3.model import Yolo

Boxes = Mapping[str, NDArray[np.float32]]
History = list[dict[str, float]]

MONITOR = "val_ap50"
VALIDATION = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 20}  # of the AP after each epoch
LARGEST_BATCH = 32  # studies a detection call holds at most
SCALE_EVERY = 10  # batches of one size, with multi_scale (Redmon and Farhadi 2017, "YOLO9000", section 2)
SCALE_STEPS = (-2, -1, 0, 1, 2)  # times 32 pixels: few sizes, since each is compiled once


class Trained(NamedTuple):
    """What a training reports: numbers for metrics/yolo.json, and one row an epoch."""

    metrics: dict[str, Any]
    history: History


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
    patience: int,
    seed: int,
    augmentation: Mapping[str, float],
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Trained:
    """Train on the studies of subset `train`, stop early by AP at IoU 0.5 on those of `validation`, write `out`.

    Args:
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
    (`pneumonia.devices`).

    Raises ValueError for impossible sizes, anchors and weights, or a training subset without studies.
    """
    from detection.training import best_epoch
    from pneumonia.augmentation import Augmenter
    from yolov3 import architectures
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
    most = max([1, *(len(own) for own in training_boxes.values())])

    def batches(epoch: int) -> keras.utils.PyDataset:
        return _dataset(store, epoch_batches(epoch), training_boxes, most, augmenter, multi_scale, (seed, epoch))

    truths = training_data.resized_boxes(store, boxes, held_out)
    found_by = any(len(own) for own in truths.values())  # without a box to find, the loss must tell the best epoch
    history = _fit(
        model,
        batches,
        steps=len(epoch_batches(1)),
        phases=_phases(epochs, heads_epochs, architectures.BACKBONE_LAYERS[network]),
        optimizer={
            "learning_rate": learning_rate,
            "warmup": burn_in,
            "weight_decay": weight_decay,
            "clip_norm": clip_norm,
            "schedule": schedule,
        },
        validate=_validation(model, store, held_out, truths) if found_by else None,
        patience=patience,
        state=state,
        on_epoch=on_epoch,
    )
    best = best_epoch(history, MONITOR, "max") if found_by else best_epoch(history, "loss", "min")
    seen = len(history) * len(epoch_batches(1)) * batch_size
    _write(out, model, network, seen)
    for file in _state_files(state):
        if file is not None:
            file.unlink(missing_ok=True)
    return Trained(_metrics(best, history, description, model, training_boxes), history)


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
    from pneumonia.weights import resolve
    from yolov3.weights import transfer

    path = resolve(str(weights))
    if not isinstance(path, Path):
        raise ValueError(f"yolo.weights must be none or a Darknet .weights file, got {weights!r}")
    transfer(model.network, description, path)


class Detector:
    """A trained YOLOv3.

    Attributes:
        image_size: pixels, side of the images it wants.
    """

    def __init__(self, network: keras.Model, description: Description) -> None:
        self.image_size = description.width
        self._network = network
        self._description = description
        self._models: dict[tuple[float, float, int], keras.Model] = {}

    def detect(
        self, images: NDArray[np.uint8], score_floor: float, nms_iou: float, max_detections: int
    ) -> list[NDArray[np.float32]]:
        """Find opacities.

        Args:
            images: uint8 `[B, image_size, image_size]`.
            score_floor: detections with a lower score are not kept.
            nms_iou: of two that overlap more than this the weaker goes.
            max_detections: at most, for an image.

        Returns for each image float32 `[n, 5]`: x1, y1, x2, y2 in pixels of the resized image, score; best first.
        """
        if images.ndim != 3 or images.shape[1:] != (self.image_size, self.image_size):
            raise ValueError(f"images must be [B, {self.image_size}, {self.image_size}], got {list(images.shape)}")
        model = self._model(score_floor, nms_iou, max_detections)
        results = []
        for first in range(0, len(images), LARGEST_BATCH):
            part = images[first : first + LARGEST_BATCH]
            # Batches of a power of two, filled up with black images: a handful of shapes, so a handful of compilations.
            size = 2 ** math.ceil(math.log2(len(part)))
            filled = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
            for found in model.detect(filled)[: len(part)]:
                results.append(np.concatenate([found["boxes"], found["scores"][:, None]], axis=1).astype(np.float32))
        return results

    def _model(self, score_floor: float, nms_iou: float, max_detections: int) -> Any:
        from yolov3 import model

        key = (score_floor, nms_iou, max_detections)
        if key not in self._models:
            self._models[key] = model.Detector(self._network, self._description, *key)
            self._models[key].compile(jit_compile=_jit())
        return self._models[key]


def load(folder: str | Path) -> Detector:
    """The detector that `train` wrote. Raises ValueError where cfg and weights do not fit each other."""
    from yolov3 import cfg, weights
    from yolov3.network import build

    folder = Path(folder)
    described = files.read_json(folder / "model.json")
    description = cfg.read(folder / described["cfg"])
    network = build(description)
    weights.load(network, folder / described["weights"])
    return Detector(network, description)


def _jit() -> bool:
    """XLA only where nothing else compiles: on two cores a step takes 56 ms a study with it, 45 ms without."""
    import keras

    return keras.backend.backend() == "jax"


def _phases(epochs: int, heads_epochs: int, backbone: int) -> list[tuple[int, int]]:
    """(number of epochs, layers frozen before this number) of each phase."""
    heads = min(heads_epochs, epochs)
    return [(count, frozen) for count, frozen in ((heads, backbone), (epochs - heads, 0)) if count]


def _fit(
    model: Yolo,
    batches: Callable[[int], keras.utils.PyDataset],
    *,
    steps: int,
    phases: list[tuple[int, int]],
    optimizer: dict[str, Any],
    validate: Callable[[], dict[str, float]] | None,
    patience: int,
    state: Path | None,
    on_epoch: Callable[[int, dict[str, float]], None] | None,
) -> History:
    from detection.optimizers import adamw
    from detection.training import fit
    from yolov3.network import set_trainable

    backbone = max(frozen for _, frozen in phases)
    history: History = []
    for (count, frozen), file in zip(phases, _state_files(state), strict=False):
        set_trainable(model.network, not frozen, before=backbone)
        # An optimizer knows the variables that can be trained at its first step only: each phase has its own.
        model.compile(optimizer=adamw(total_steps=count * steps, **optimizer), jit_compile=_jit())
        history += fit(
            model,
            batches,
            epochs=count,
            validate=validate,
            monitor=MONITOR if validate else "loss",
            mode="max" if validate else "min",
            patience=0 if frozen else patience,
            state=file,
            on_epoch=on_epoch,
            first_epoch=len(history) + 1,
            baseline=max((row[MONITOR] for row in history), default=None) if validate else None,
            title="yolo, heads" if frozen else "yolo",
        )
    return history


def _state_files(state: Path | None) -> list[Path | None]:
    """Resume files of the phases in their order; there are two at most."""
    return (
        [None, None] if state is None else [state.with_name(f"{state.stem}-{phase}{state.suffix}") for phase in (1, 2)]
    )


def _dataset(
    store: ShardStore,
    batches: list[list[str]],
    boxes: Boxes,
    most: int,
    augmenter: Augmenter,
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


def _validation(model: Yolo, store: ShardStore, studies: list[str], truths: Boxes) -> Callable[[], dict[str, float]]:
    from detection.average_precision import average_precision

    detector = Detector(model.network, model.description)

    def validate() -> dict[str, float]:
        found: list[NDArray[np.float32]] = []
        for first in range(0, len(studies), LARGEST_BATCH):
            found += detector.detect(store.batch(studies[first : first + LARGEST_BATCH]), **VALIDATION)  # type: ignore[arg-type]
        return {MONITOR: average_precision(found, [truths[study] for study in studies])}

    return validate


def _sizes(boxes: Boxes) -> NDArray[np.float32]:
    corners = np.concatenate([np.zeros((0, 4), np.float32), *(boxes[study] for study in sorted(boxes))])
    sizes: NDArray[np.float32] = corners[:, 2:] - corners[:, :2]
    return sizes


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


def _metrics(
    best: dict[str, float], history: History, description: Description, model: Yolo, training_boxes: Boxes
) -> dict[str, Any]:
    from yolov3.anchors import mean_iou

    anchors = description.heads[0].anchors
    sizes = _sizes(training_boxes)
    return {
        "ap50": best.get(MONITOR),
        "loss": best["loss"],
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "anchors": [list(anchor) for anchor in anchors],
        "anchors_mean_iou": mean_iou(sizes, anchors) if len(sizes) else None,
        "parameters": int(model.network.count_params()),
        "train_studies": len(training_boxes),
        "train_positives": sum(1 for own in training_boxes.values() if len(own)),
    }
