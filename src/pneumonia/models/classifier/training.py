"""The training of the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models import weights as weight_files
from pneumonia.models.classifier.network import CLASSES, HIDDEN, SCORE, build, with_classes
from pneumonia.schema.data import CATEGORIES
from pneumonia.training import story

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    import pandas as pd

    from pneumonia.training.groups import Epochs, Optimization

VALIDATION_BATCH = 32
HEADS = f"^({HIDDEN}|{SCORE}|{CLASSES})/"


@dataclass(frozen=True)
class Architecture:
    """The network that is trained.

    Attributes:
        backbone: see `pneumonia.models.backbones.pyramid`.
        weights: `none`, `imagenet`, or a file (see `pneumonia.models.weights`). With any, batch normalisations stay frozen.
        dropout: share of the pooled features, before the last layer.
        hidden: units of a layer between pooling and score; 0: none.
    """

    backbone: str
    weights: str
    dropout: float
    hidden: int


@dataclass(frozen=True)
class Objective:
    """What the network learns to be right about.

    Attributes:
        classes_weight: weight of a second loss, the cross entropy of the study's category (`CATEGORIES`) from a softmax that
            is trained beside the score and not kept; the score's own loss weighs 1. 0: no such softmax.
        label_smoothing: the score of a positive should be 1 - half of this, of a negative half of this.
    """

    classes_weight: float
    label_smoothing: float


def train(
    data: story.TrainingData,
    out: Path,
    state: Path | None,
    *,
    architecture: Architecture,
    objective: Objective,
    epochs: Epochs,
    patience: int,
    optimization: Optimization,
    average: float = 0.0,
    on_epoch: story.OnEpoch | None = None,
) -> story.Trained:
    """Train, stop early by the AUC of the validation studies, write `model.json` and `model.weights.h5`.

    Without both classes among them the training loss decides instead. The caller has set device, precision and seeds
    (`keraskit.compute.devices`).

    Arguments:
        data: images of a multiple of 32 pixels; with `objective.classes_weight` its studies have the column `category`.
        out, state, on_epoch: as in `story.run`.
        patience: epochs without a better AUC, after those of the heads, before it ends.
        average: decay of the average of the weights, which is what is validated and written; 0: the weights themselves.
    """
    from keraskit.compute.backend import jit_compile

    model = _build(architecture, data.store.size)
    targets = dict(zip(data.train["study"], data.train["target"], strict=True))
    _start_at_prior(model, float(np.mean([targets[study] for names in data.batches(1) for study in names])))

    both = with_classes(model, len(CATEGORIES)) if objective.classes_weight else None
    rows = _one_hot(data.train) if both is not None else {}

    def batch(names: Sequence[str], images: NDArray[np.uint8], boxes: Any, place: Any) -> tuple[Any, Any]:
        wanted = np.array([[targets[study]] for study in names], np.float32)
        if both is None:
            return images[..., None], wanted
        return images[..., None], {SCORE: wanted, CLASSES: np.stack([rows[study] for study in names])}

    def prepare(steps: int, only_heads: bool) -> None:
        import keras

        learner = model if both is None else both
        _set_trainable(learner, only_heads=only_heads, frozen_norm=architecture.weights != "none")
        optimizer = optimization.optimizer(steps, HEADS, average=average)
        loss: Any = keras.losses.BinaryCrossentropy(label_smoothing=objective.label_smoothing)
        if both is None:
            model.compile(optimizer, loss=loss, jit_compile=jit_compile())
            return
        model.compile(jit_compile=jit_compile())  # for the validation
        both.compile(
            optimizer,
            loss={SCORE: loss, CLASSES: "categorical_crossentropy"},
            loss_weights={SCORE: 1.0, CLASSES: objective.classes_weight},
            jit_compile=jit_compile(),
        )

    task = story.Task(
        model if both is None else both,
        batch,
        story.heads_first(epochs, data.steps, patience, prepare, "classifier"),
        _validation(model, data),
        lambda folder, history: _write(folder, model, architecture),
        lambda best: _metrics(best, model, data),
    )
    return story.run(task, data, out, state, on_epoch)


def _build(architecture: Architecture, image_size: int) -> keras.Model:
    a, weights = architecture, weight_files.resolve(architecture.weights)
    return build(a.backbone, image_size, weights, a.dropout, a.hidden, frozen_norm=a.weights != "none")


def _start_at_prior(model: keras.Model, positive: float) -> None:
    """Bias of the last layer, so that the first guesses are the share of positives (Lin et al. 2017, sec. 3.3)."""
    kernel, _ = model.get_layer(SCORE).get_weights()
    positive = min(max(positive, 0.01), 0.99)
    model.get_layer(SCORE).set_weights([kernel, np.array([np.log(positive / (1 - positive))])])


def _one_hot(studies: pd.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Study -> its category as a row of 0 and 1, in the order of `CATEGORIES`."""
    rows = np.eye(len(CATEGORIES), dtype=np.float32)
    pairs = zip(studies["study"], studies["category"], strict=True)
    return {study: rows[CATEGORIES.index(category)] for study, category in pairs}


def _set_trainable(model: keras.Model, *, only_heads: bool, frozen_norm: bool) -> None:
    import keras

    for layer in model.layers:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name in (HIDDEN, SCORE, CLASSES) or not (only_heads or (norm and frozen_norm))


def _validation(model: keras.Model, data: story.TrainingData) -> story.Validation:
    from pneumonia.metrics.image_level import auc

    names, targets = list(data.validation["study"]), data.validation["target"].to_numpy()
    if len(set(targets)) < 2:
        return story.Validation(None, "loss", "min")

    def validate() -> dict[str, float]:
        starts = range(0, len(names), VALIDATION_BATCH)
        parts = [data.store.batch(names[i : i + VALIDATION_BATCH])[..., None] for i in starts]
        scores = np.concatenate([np.asarray(model.predict_on_batch(part))[:, 0] for part in parts]).astype(np.float64)
        likely = np.clip(np.where(targets == 1, scores, 1 - scores), 1e-7, 1)
        return {"val_loss": float(-np.log(likely).mean()), "val_auc": float(auc(scores, targets))}

    return story.Validation(validate, "val_auc", "max")


def _metrics(best: story.Row, model: keras.Model, data: story.TrainingData) -> dict[str, Any]:
    return {
        "auc": best.get("val_auc"),
        "val_loss": best.get("val_loss"),
        "parameters": model.count_params(),
        "validation_studies": len(data.validation),
    }


def _write(folder: Path, model: keras.Model, architecture: Architecture) -> None:
    import keras

    # A compiled model would save its optimizer too, twice the weights. The file holds the name of the model.
    bare = keras.Model(model.input, model.output, name=model.name)
    described = {
        "kind": "classifier",
        "backbone": architecture.backbone,
        "image_size": model.input.shape[1],
        "hidden": architecture.hidden,
    }
    files.write_json(folder / "model.json", described)
    bare.save_weights(folder / "model.weights.h5")
