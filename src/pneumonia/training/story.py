"""A training, told once: each model fills in a `Task`.

An epoch shows studies of subset `train` in augmented batches (`TrainingData`). After it, what the model makes of the
studies of `validation` tells whether it is the best epoch so far. Phases end early; at the end the model has the weights
of its best epoch and is written, and the resume file goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.training.batches import dataset, epoch_studies, full_batches, load_batch, resized_boxes

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from keraskit.training.fit import Phase
    from pneumonia.data.images.store import ShardStore
    from pneumonia.training.augmentation import Augmentation
    from pneumonia.training.groups import Epochs, Sampling

Row = dict[str, float]  # of an epoch
History = list[Row]
OnEpoch = Callable[[int, Row], None]


class Trained(NamedTuple):
    """What a training reports: numbers for metrics/<model>.json, and one row an epoch."""

    metrics: dict[str, Any]
    history: History


class Place(NamedTuple):
    """Of a batch: all that its randomness depends on.

    Attributes:
        epoch: counts from 1; 0: validation studies, as they are.
        number: of the batch in its epoch, from 0.
    """

    seed: int
    epoch: int
    number: int


# Studies, their images uint8 [B, S, S], their boxes [N, 4] x1 y1 x2 y2, place -> `(inputs, targets)`, or a dict.
Batch = Callable[[Sequence[str], NDArray[np.uint8], list[NDArray[np.float32]], Place], Any]


class TrainingData:
    """The studies of a training and the batches they come in.

    Arguments:
        store: images of the training's size.
        studies: columns `study`, `subset`, `target` (1 positive, 0 negative); other subsets than `train` and `validation`
            are not looked at.
        boxes: columns `study`, `x`, `y`, `width`, `height`, pixels of the original image; None: the model learns none.
        mosaics: probability that a training study is shown in a mosaic with three others of its epoch.

    Attributes:
        train, validation: rows of `studies`, sorted by study.
        train_boxes, validation_boxes: study -> float32 `[N, 4]` x1 y1 x2 y2, pixels of the resized image.
    """

    def __init__(
        self,
        store: ShardStore,
        studies: pd.DataFrame,
        boxes: pd.DataFrame | None,
        sampling: Sampling,
        augmentation: Augmentation,
        mosaics: float = 0.0,
    ) -> None:
        self.store, self.sampling, self.augmentation, self.mosaics = store, sampling, augmentation, mosaics
        self.train, self.validation = (
            studies[studies["subset"] == subset].sort_values("study") for subset in ("train", "validation")
        )
        self.train_boxes, self.validation_boxes = (
            {} if boxes is None else resized_boxes(store, boxes, part["study"])
            for part in (self.train, self.validation)
        )

    def batches(self, epoch: int) -> list[list[str]]:
        """The studies of an epoch.

        Raises:
            ValueError: there is none to train on.
        """
        sampling = self.sampling
        listed = epoch_studies(self.train, sampling.negatives_per_positive, epoch, sampling.seed)
        return full_batches(listed, sampling.batch_size)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.batches(1))

    def epoch(self, epoch: int, batch: Batch) -> keras.utils.PyDataset:
        """The training studies of an epoch, augmented."""
        return self._dataset(self.batches(epoch), epoch, batch, self.augmentation)

    def loss(self, model: keras.Model, batch: Batch) -> float:
        """The mean loss of the validation studies as they are."""
        listed = full_batches(list(self.validation["study"]), self.sampling.batch_size)
        data = self._dataset(listed, 0, batch, None)
        return float(model.evaluate(data, verbose=0, return_dict=True)["loss"])

    def _dataset(
        self, batches: list[list[str]], epoch: int, batch: Batch, augmentation: Augmentation | None
    ) -> keras.utils.PyDataset:
        boxes = {**self.train_boxes, **self.validation_boxes}
        shown = [study for names in batches for study in names]

        def one(index: int) -> Any:
            place = Place(self.sampling.seed, epoch, index)
            images, moved = load_batch(self.store, batches[index], boxes, augmentation, place, self.mosaics, shown)
            return batch(batches[index], images, moved, place)

        return dataset(one, len(batches))


class Validation(NamedTuple):
    """What is measured after each epoch, and which of the values decides what the best epoch is.

    Fields: those arguments of `keraskit.training.fit.fit`.
    """

    validate: Callable[[], Row] | None
    monitor: str
    mode: str


@dataclass(frozen=True)
class Task:
    """What a model fills in.

    Attributes:
        model: built; `phases` compile it.
        batch: makes its inputs and targets.
        phases: what learns, how and how long, one after the other.
        write: files of the model into an empty folder; called with it and the history.
        metrics: the model's own numbers of metrics/<model>.json; called with the row of the best epoch.
    """

    model: keras.Model
    batch: Batch
    phases: Sequence[Phase]
    validation: Validation
    write: Callable[[Path, History], None]
    metrics: Callable[[Row], dict[str, Any]]


def run(task: Task, data: TrainingData, out: Path, state: Path | None, on_epoch: OnEpoch | None) -> Trained:
    """Train, stop early, write `out`.

    Arguments:
        out: folder of the model; replaced whole at the end.
        state: resume file, removed at the end; None: not resumable.
        on_epoch: called with number and row of each epoch, also of those read from `state`.
    """
    from keraskit.training.fit import best_epoch, fit_phases, forget

    history = fit_phases(
        task.model,
        lambda epoch: data.epoch(epoch, task.batch),
        task.phases,
        state=state,
        on_epoch=on_epoch,
        **task.validation._asdict(),
    )
    best = best_epoch(history, task.validation.monitor, task.validation.mode)
    with files.fresh_dir(out) as folder:
        task.write(folder, history)
    forget(state, len(task.phases))
    common = {
        "loss": best["loss"],
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "train_studies": len(data.train),
    }
    return Trained(common | task.metrics(best), history)


def heads_first(
    epochs: Epochs, steps: int, patience: int, prepare: Callable[[int, bool], None], title: str
) -> list[Phase]:
    """Two phases: the heads alone, then everything.

    Arguments:
        steps: batches of an epoch.
        patience: of the second phase; the first has none.
        prepare: sets what is trainable and compiles the model; called with the steps of the phase and whether it is the
            heads'.
        title: stands before the progress bar.
    """
    from keraskit.training.fit import Phase

    heads = min(epochs.heads_epochs, epochs.epochs)
    rest = epochs.epochs - heads
    return [
        Phase(heads, lambda: prepare(heads * steps, True), 0, f"{title}, heads"),
        Phase(rest, lambda: prepare(rest * steps, False), patience, title),
    ]
