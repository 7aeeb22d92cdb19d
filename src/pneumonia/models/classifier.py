"""The classifier: a backbone, global average pooling, one sigmoid unit. Trains, saves, loads, predicts, explains.

For such a network the class activation map (Zhou et al. 2016) is exact: the score's logit is the mean of the map, and
Grad-CAM equals it (Selvaraju et al. 2017, sec. 3.1). With a hidden layer before the score there is no such map, and
Grad-CAM stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models import weights as weight_files
from pneumonia.models.grad_cam import grad_cam
from pneumonia.training import batches as training_data

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from pneumonia.data.store import ShardStore
    from pneumonia.training.augmentation import Augmenter


SCORE, HIDDEN = "score", "hidden"  # names of the last layer and of the one that may come before it
Features = NDArray[np.float32]
BATCH = 32  # studies of a validation or prediction step


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


def build(
    backbone: str,
    image_size: int,
    weights: str | Path = "none",
    dropout: float = 0.0,
    hidden: int = 0,
    *,
    frozen_norm: bool = False,
) -> keras.Model:
    """The network: grey values `[B, S, S, 1]`, 0 to 255 -> probability `[B, 1]` float32.

    hidden: units (ReLU) of a layer between the pooling and the score; 0: none.
    """
    import keras

    from pneumonia.models.backbones import pyramid

    base = pyramid.build(backbone, image_size, weights, channels=1, frozen_norm=frozen_norm, head=True)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(base.output[32])
    if hidden:
        x = keras.layers.Dense(hidden, activation="relu", name=HIDDEN)(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name=SCORE)(x)
    return keras.Model(base.input, x, name="classifier")


class Classifier:
    """A trained classifier.

    Attributes:
        image_size: pixels, side of the images it wants.
    """

    def __init__(self, model: keras.Model) -> None:
        import keras

        from keraskit.compute.backend import jit_compile

        self.image_size = int(model.input.shape[1])
        pooled = model.get_layer("pool")
        # The map before the pooling; the rest is a product or two, cheap enough for NumPy or one gradient.
        self._features = keras.Model(model.input, pooled.input)
        self._features.compile(jit_compile=jit_compile())
        kernel, bias = model.get_layer(SCORE).get_weights()
        self._kernel, self._bias = kernel[:, 0].astype(np.float32), float(bias[0])
        hidden = any(layer.name == HIDDEN for layer in model.layers)
        self._before_score = keras.Model(pooled.input, model.get_layer(SCORE).input) if hidden else None

    def predict(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score studies and say where the score comes from.

        Arguments:
            images: uint8 `[B, image_size, image_size]`.

        Returns:
            Probabilities of an opacity, float32 `[B]`. Activation maps, float32 `[B, h, w]`, each the whole image on a
            grid of 32 pixels a cell. Without a hidden layer they are class activation maps in units of the logit: the
            logit of the score is the mean of its map. With one they are Grad-CAM's: zero or above, and only the
            proportions of a map mean something.
        """
        size = self.image_size
        if images.ndim != 3 or images.shape[1:] != (size, size):
            raise ValueError(f"images must be [B, {size}, {size}], got {list(images.shape)}")
        explain = self._class_activation if self._before_score is None else self._grad_cam
        scores, maps = [np.zeros(0, np.float32)], [np.zeros((0, size // 32, size // 32), np.float32)]
        for first in range(0, len(images), BATCH):
            part = images[first : first + BATCH]
            logits, cam = explain(np.asarray(self._features.predict_on_batch(part[..., None]), np.float32))
            scores.append(_sigmoid(logits).astype(np.float32))
            maps.append(cam)
        return np.concatenate(scores), np.concatenate(maps)

    def _class_activation(self, features: Features) -> tuple[NDArray[np.float64], Features]:
        """Logits and maps of features `[B, h, w, C]`, exact for a head of pooling and one layer."""
        cam = features @ self._kernel + self._bias
        return cam.mean(axis=(1, 2), dtype=np.float64), cam

    def _grad_cam(self, features: Features) -> tuple[NDArray[np.float64], Features]:
        """Logits and maps of features `[B, h, w, C]`, for any head."""
        import keras

        logits = np.asarray(keras.ops.convert_to_numpy(self._logits(features)), np.float64)
        return logits, grad_cam(self._logits, features)

    def _logits(self, features: Any) -> Any:
        """The head, before the sigmoid: `[B, h, w, C]` -> `[B]`, in the backend's tensors."""
        import keras

        assert self._before_score is not None
        return keras.ops.matmul(self._before_score(features, training=False), self._kernel) + self._bias


def load(folder: str | Path) -> Classifier:
    """The classifier that `train` wrote. Raises FileNotFoundError without one."""
    folder = Path(folder)
    described = files.read_json(folder / "model.json")
    # Models of before the hidden layer do not name it.
    model = build(described["backbone"], described["image_size"], hidden=described.get("hidden", 0))
    model.load_weights(folder / "model.weights.h5")
    return Classifier(model)


def _write(out: Path, model: keras.Model, **described: Any) -> None:
    import keras

    # A compiled model would save its optimizer too, twice the weights. The file holds the name of the model.
    bare = keras.Model(model.input, model.output, name=model.name)
    with files.fresh_dir(out) as folder:
        files.write_json(folder / "model.json", {"kind": "classifier", **described})
        bare.save_weights(folder / "model.weights.h5")


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))  # no overflow, either way
    return result


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
    parts = [store.batch(names[i : i + BATCH])[..., None] for i in range(0, len(names), BATCH)]
    scores = np.concatenate([np.asarray(model.predict_on_batch(part))[:, 0] for part in parts]).astype(np.float64)
    likely = np.clip(np.where(targets == 1, scores, 1 - scores), 1e-7, 1)
    return {"val_loss": float(-np.log(likely).mean()), "val_auc": float(auc(scores, targets))}
