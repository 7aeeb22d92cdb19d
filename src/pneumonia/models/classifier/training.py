"""The training of the classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models import weights as weight_files
from pneumonia.models.classifier.network import HIDDEN, SCORE, build
from pneumonia.training import batches as training_data

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from pneumonia.data.store import ShardStore
    from pneumonia.training.augmentation import Augmenter

VALIDATION_BATCH = 32


def train(
    store: ShardStore,
    studies: pd.DataFrame,
    out: Path,
    state: Path | None,
    *,
    backbone: str,
    weights: str,
    epochs: int,
    heads_epochs: int,
    batch_size: int,
    learning_rate: float,
    backbone_rate: float,
    warmup: float,
    weight_decay: float,
    clip_norm: float,
    dropout: float,
    hidden: int,
    negatives_per_positive: float,
    patience: int,
    seed: int,
    augmentation: Mapping[str, float],
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> training_data.Trained:
    """Train on the studies of subset `train`, stop early by the AUC on those of `validation`, write `out`.

    Arguments:
        store: images of the training's size, a multiple of 32.
        studies: columns `study`, `subset`, `target` (1 positive, 0 negative); other subsets are not looked at.
        out: folder for `model.json` and `model.weights.h5`; replaced whole at the end.
        state: resume file, removed at the end; None: not resumable.
        weights: `none`, `imagenet`, or a file (see `pneumonia.models.weights`). With any, batch normalisations stay frozen.
        heads_epochs: of `epochs`, the first ones, with only the layers after the pooling learning.
        on_epoch: called with number and row of each epoch, also of those read from `state`.

    The others mirror the section `classifier` of params.yaml. The caller has set device, precision and seeds
    (`keraskit.compute.devices`). Without both classes in `validation` the training loss decides instead.
    """
    from keraskit.compute.backend import jit_compile
    from keraskit.training.fit import Phase, best_epoch, fit_phases, forget
    from keraskit.training.optimizers import adamw
    from pneumonia.training.augmentation import Augmenter

    subsets = {name: studies[studies["subset"] == name].sort_values("study") for name in ("train", "validation")}
    pretrained = weights != "none"
    model = build(backbone, store.size, weight_files.resolve(weights), dropout, hidden, frozen_norm=pretrained)
    targets = dict(zip(studies["study"], studies["target"], strict=True))
    augmenter = Augmenter(**augmentation)

    def epoch_batches(epoch: int) -> list[list[str]]:
        listed = training_data.epoch_studies(subsets["train"], negatives_per_positive, epoch, seed)
        return training_data.full_batches(listed, batch_size)

    first = epoch_batches(1)
    _start_at_prior(model, float(np.mean([targets[study] for batch in first for study in batch])))
    can_rank = subsets["validation"]["target"].nunique() == 2
    monitor, mode = ("val_auc", "max") if can_rank else ("loss", "min")
    heads = min(heads_epochs, epochs)

    def prepare(count: int, only_head: bool) -> None:
        _set_trainable(model, only_head=only_head, frozen_norm=pretrained)
        optimizer = adamw(
            learning_rate,
            count * len(first),
            warmup,
            weight_decay,
            clip_norm,
            multipliers={f"^({HIDDEN}|{SCORE})/": 1.0, "": backbone_rate},
        )
        model.compile(optimizer, loss="binary_crossentropy", jit_compile=jit_compile())

    phases = [
        Phase(heads, partial(prepare, heads, True), 0, "classifier, head"),
        Phase(epochs - heads, partial(prepare, epochs - heads, False), patience, "classifier"),
    ]
    history = fit_phases(
        model,
        lambda epoch: _dataset(store, epoch_batches(epoch), targets, augmenter, (seed, epoch)),
        phases,
        monitor=monitor,
        mode=mode,
        validate=(lambda: _validate(model, store, subsets["validation"])) if can_rank else None,
        state=state,
        on_epoch=on_epoch,
    )
    best = best_epoch(history, monitor, mode)
    _write(out, model, backbone=backbone, image_size=store.size, hidden=hidden)
    forget(state, len(phases))
    metrics = {
        "auc": best.get("val_auc"),
        "loss": best["loss"],
        "val_loss": best.get("val_loss"),
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "parameters": model.count_params(),
        "train_studies": len(subsets["train"]),
        "validation_studies": len(subsets["validation"]),
    }
    return training_data.Trained(metrics, history)


def _write(out: Path, model: keras.Model, **described: Any) -> None:
    import keras

    # A compiled model would save its optimizer too, twice the weights. The file holds the name of the model.
    bare = keras.Model(model.input, model.output, name=model.name)
    with files.fresh_dir(out) as folder:
        files.write_json(folder / "model.json", {"kind": "classifier", **described})
        bare.save_weights(folder / "model.weights.h5")


def _start_at_prior(model: keras.Model, positive: float) -> None:
    """Bias of the last layer, so that the first guesses are the share of positives (Lin et al. 2017, sec. 3.3)."""
    kernel, _ = model.get_layer(SCORE).get_weights()
    positive = min(max(positive, 0.01), 0.99)
    model.get_layer(SCORE).set_weights([kernel, np.array([np.log(positive / (1 - positive))])])


def _set_trainable(model: keras.Model, *, only_head: bool, frozen_norm: bool) -> None:
    import keras

    for layer in model.layers:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name in (HIDDEN, SCORE) or not (only_head or (norm and frozen_norm))


def _dataset(
    store: ShardStore,
    batches: list[list[str]],
    targets: Mapping[str, int],
    augmenter: Augmenter,
    place: tuple[int, int],
) -> keras.utils.PyDataset:
    def batch(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        images, _ = training_data.load_batch(store, batches[index], {}, augmenter, (*place, index))
        return images[..., None], np.array([[targets[study]] for study in batches[index]], np.float32)

    return training_data.dataset(batch, len(batches))


def _validate(model: keras.Model, store: ShardStore, studies: pd.DataFrame) -> dict[str, float]:
    from pneumonia.metrics.image_level import auc

    names, targets = list(studies["study"]), studies["target"].to_numpy()
    parts = [store.batch(names[i : i + VALIDATION_BATCH])[..., None] for i in range(0, len(names), VALIDATION_BATCH)]
    scores = np.concatenate([np.asarray(model.predict_on_batch(part))[:, 0] for part in parts]).astype(np.float64)
    likely = np.clip(np.where(targets == 1, scores, 1 - scores), 1e-7, 1)
    return {"val_loss": float(-np.log(likely).mean()), "val_auc": float(auc(scores, targets))}
