"""What a model sees in training: which studies in which epoch, in batches of augmented images.

Everything random is drawn from `np.random.default_rng` of numbers that name its place (seed, epoch, batch), never from
a generator that goes on: a resumed training sees what an unbroken one would, whatever thread prepares a batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.schema.table import BOX

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from pneumonia.data.images.store import ShardStore
    from pneumonia.training.augmentation import Augmentation


def epoch_studies(studies: pd.DataFrame, negatives_per_positive: float, epoch: int, seed: int) -> list[str]:
    """The studies of one epoch in their order: all positives, and as many negatives as asked for.

    Epochs take turns through one shuffled row of the negatives, so that every negative is seen before one is seen
    again.

    Arguments:
        studies: columns `study`, `target` (1 positive, 0 negative); in any order.
        negatives_per_positive: negatives an epoch for each positive; 0: all studies.
        epoch: counts from 1.
    """
    if negatives_per_positive < 0:
        raise ValueError(f"negatives_per_positive must not be negative, got {negatives_per_positive}")
    if epoch < 1:
        raise ValueError(f"epochs count from 1, got {epoch}")
    target = studies["target"].to_numpy()
    positives = sorted(studies["study"][target == 1])
    negatives = sorted(studies["study"][target == 0])
    wanted = round(negatives_per_positive * len(positives))
    if positives and negatives_per_positive > 0 and wanted < len(negatives):
        first = (epoch - 1) * wanted
        negatives = [negatives[i] for i in _turns(len(negatives), first, wanted, seed)]
    chosen = positives + negatives
    order = np.random.default_rng((seed, epoch)).permutation(len(chosen))
    return [chosen[i] for i in order]


def _turns(count: int, first: int, wanted: int, seed: int) -> list[int]:
    """Elements `first .. first + wanted` of an endless row of permutations of 0 .. count - 1."""
    rounds = range(first // count, (first + wanted - 1) // count + 1) if wanted else range(0)
    row = [int(i) for k in rounds for i in np.random.default_rng((seed, 0, k)).permutation(count)]
    start = first - rounds.start * count if wanted else 0
    return row[start : start + wanted]


def full_batches(studies: Sequence[str], batch_size: int) -> list[list[str]]:
    """Batches of one size; the last is filled up with the first studies: another shape is another compilation."""
    if not studies:
        raise ValueError("there is no study to train on: the training subset is empty")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    count = -(-len(studies) // batch_size)
    filled = [studies[i % len(studies)] for i in range(count * batch_size)]
    return [filled[i * batch_size : (i + 1) * batch_size] for i in range(count)]


def load_batch(
    store: ShardStore,
    studies: Sequence[str],
    boxes: Mapping[str, NDArray[np.float32]],
    augmentation: Augmentation | None,
    place: tuple[int, ...],
    mosaics: float = 0.0,
    others: Sequence[str] = (),
) -> tuple[NDArray[np.uint8], list[NDArray[np.float32]]]:
    """Images and boxes of a batch.

    Arguments:
        boxes: study -> float32 `[N, 4]` x1 y1 x2 y2, pixels of the resized image; a study without boxes may be absent.
        augmentation: None: the images as they are.
        place: (seed, epoch, index of the batch), all that randomness depends on.
        mosaics: probability that a study shows only one quadrant, and three of `others` the rest; 0 without augmentation.
        others: studies, with boxes as `boxes` has them.

    Returns:
        uint8 `[B, S, S]`; for each study float32 `[M, 4]` in the same frame.
    """
    none = np.zeros((0, 4), np.float32)
    images = store.batch(studies)
    moved = [np.asarray(boxes.get(study, none), np.float32).reshape(-1, 4) for study in studies]
    if augmentation is not None:
        rng = np.random.default_rng(place)
        images = images.copy()
        for i in range(len(images)):
            images[i], moved[i], _ = augmentation(images[i], moved[i], rng)
        if mosaics:
            rng = np.random.default_rng((*place, 2))  # of its own: without mosaics all else is as it was
            for i in np.flatnonzero(rng.random(len(images)) < mosaics).tolist():
                # One of the three may be the study itself: it is one of thousands.
                names = [others[k] for k in rng.integers(len(others), size=3)]
                added = load_batch(store, names, boxes, augmentation, (*place, 2, i))
                images[i], moved[i] = _mosaic(images[i], moved[i], *added, rng)
    return images, moved


def _mosaic(
    image: NDArray[np.uint8],
    own: NDArray[np.float32],
    images: NDArray[np.uint8],
    boxes: list[NDArray[np.float32]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A mosaic of an image and three more, in any order, about a random centre."""
    from pneumonia.training.augmentation import CENTRES, mosaic

    images, boxes = np.concatenate([image[None], images]), [own, *boxes]
    order = rng.permutation(4)
    height, width = image.shape
    x, y = rng.uniform(*CENTRES, 2)
    return mosaic(images[order], [boxes[k] for k in order], (round(x * width), round(y * height)))


def resized_boxes(store: ShardStore, boxes: pd.DataFrame, studies: Iterable[str]) -> dict[str, NDArray[np.float32]]:
    """`boxes` (columns study, x, y, width, height; original pixels) of these studies in the frame of the store's
    images.

    Returns:
        study -> float32 `[N, 4]` x1 y1 x2 y2; studies without boxes have `[0, 4]`.
    """
    groups = {str(study): group for study, group in boxes.groupby("study")}
    empty = np.zeros((0, 4), np.float32)
    return {
        study: store.to_resized(study, groups[study][BOX].to_numpy(np.float32)) if study in groups else empty.copy()
        for study in sorted(studies)
    }


def dataset(batch: Callable[[int], Any], count: int, workers: int = 2) -> keras.utils.PyDataset:
    """`batch(0) .. batch(count - 1)` as a data set that Keras reads ahead of the training in threads.

    `batch` gives what a PyDataset gives: `(inputs, targets)` or a dict. It is called from several threads, and more
    than once with the same index.
    """
    import keras

    class Dataset(keras.utils.PyDataset):
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> Any:
            return batch(index)

    return Dataset(workers=workers, use_multiprocessing=False, max_queue_size=8)


def state_path(folder: Path, values: Mapping[str, Any], inputs: Iterable[Path]) -> Path:
    """Where a training keeps its resume file: `<folder>/<hash>.npz`, the hash over all that decides its result.

    Arguments:
        values: the training's params, plain values.
        inputs: files it reads; each counts by its name and SHA-256.
    """
    content = {
        "values": values,
        "inputs": [[path.name, files.sha256(path)] for path in sorted(map(Path, inputs))],
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return Path(folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
