"""The training of a backbone on findings: multi-label, what is not known passed over, the best epoch by the mean AUC."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.metrics.bootstrap import intervals
from pneumonia.metrics.image_level import Auc
from pneumonia.models import weights as weight_files
from pneumonia.models.pretraining.targets import Targets, learnable, masked_loss
from pneumonia.schema.training import BACKBONE, BACKBONE_WEIGHTS, DESCRIPTION
from pneumonia.training import story

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from pneumonia.training.groups import Epochs, Optimization

FINDINGS = "findings"  # name of the last layer
VALIDATION_BATCH = 32


@dataclass(frozen=True)
class Architecture:
    """The network that is trained.

    Attributes:
        backbone: see `pneumonia.models.backbones.pyramid`.
        weights: what it starts from, `none`, `imagenet` or a file; with any, batch normalisations stay frozen.
        dropout: share of the pooled features, before the last layer.
    """

    backbone: str
    weights: str
    dropout: float


@dataclass(frozen=True)
class Intervals:
    """How sure the figures are.

    Attributes:
        bootstrap: resamples of persons.
        seed: of them.
    """

    bootstrap: int
    seed: int


def subsets(persons: Sequence[str], validation: float, seed: int) -> list[str]:
    """`validation` or `train` for each of `persons`: a share of them, told by a hash, so that one more person moves no other."""
    shares = (int(hashlib.sha256(f"{seed}:{person}".encode()).hexdigest()[:12], 16) / 16**12 for person in persons)
    return ["validation" if share < validation else "train" for share in shares]


def train(
    data: story.TrainingData,
    labels: pd.DataFrame,
    findings: Sequence[str],
    out: Path,
    state: Path | None,
    *,
    architecture: Architecture,
    targets: Targets,
    epochs: Epochs,
    patience: int,
    optimization: Optimization,
    average: float,
    figures: Intervals,
    on_epoch: story.OnEpoch | None = None,
) -> story.Trained:
    """Train, stop early by the mean AUC of the validation images, write `model.json` and `backbone.npz`.

    The caller has set device, precision and seeds (`keraskit.compute.devices`).

    Arguments:
        data: images of a multiple of 32 pixels.
        labels: columns image, person and `findings`: 1, 0, -1 uncertain, NaN not mentioned. A finding without a positive or
            without a negative among the training images is left out, and named in the metrics.
        out, state, on_epoch: as in `story.run`.
        average: decay of the average of the weights, which is what is validated and written; 0: the weights themselves.

    Raises:
        ValueError: no finding can be learned, or no image is there to train on.
    """
    from keraskit.compute.backend import jit_compile

    rows = labels.set_index("image")
    used = learnable(rows.loc[data.train["study"], list(findings)].to_numpy(np.float64))
    kept = [finding for finding, use in zip(findings, used, strict=True) if use]
    if not kept:
        raise ValueError(f"none of {', '.join(findings)} has a positive and a negative among {len(data.train)} images")
    wanted = targets.of(rows[kept].to_numpy(np.float64))
    of_image = dict(zip(rows.index, wanted, strict=True))
    model, backbone = _build(architecture, data.store.size, len(kept))
    learned = np.stack([of_image[image] for image in data.train["study"]])
    weights = targets.weights(learned)

    def batch(names: Sequence[str], images: NDArray[np.uint8], boxes: Any, place: Any) -> tuple[Any, Any]:
        return images[..., None], np.stack([of_image[name] for name in names])

    def prepare(steps: int, only_heads: bool) -> None:
        _set_trainable(model, only_heads=only_heads, frozen_norm=architecture.weights != "none")
        optimizer = optimization.optimizer(steps, f"^{FINDINGS}/", average=average)
        model.compile(optimizer, loss=masked_loss(weights), jit_compile=jit_compile())

    measured = _Validation(model, data, rows.loc[data.validation["study"], ["person", *kept]], kept)

    def metrics(best: story.Row) -> dict[str, Any]:
        return {
            "auc": best.get("val_auc"),
            "findings": measured.figures(figures, rows.loc[data.train["study"], kept]),
            "findings_left_out": sorted(set(findings) - set(kept)),
            "parameters": model.count_params(),
            "validation_studies": len(data.validation),
        }

    task = story.Task(
        model,
        batch,
        story.heads_first(epochs, data.steps, patience, prepare, "pretrain"),
        measured.story(),
        lambda folder, history: _write(folder, backbone, architecture, kept),
        metrics,
    )
    return story.run(task, data, out, state, on_epoch)


def write_off(out: Path) -> None:
    """The folder of a backbone that nobody trained: always the same, so that nothing after it runs again."""
    with files.fresh_dir(out) as folder:
        files.write_json(folder / DESCRIPTION, {"kind": BACKBONE, "backbone": "none"})


def _build(architecture: Architecture, image_size: int, findings: int) -> tuple[keras.Model, keras.Model]:
    """The network, grey values `[B, S, S, 1]` -> logits `[B, F]` float32; and its backbone."""
    import keras

    from pneumonia.models.backbones import pyramid

    a, weights = architecture, weight_files.resolve(architecture.weights)
    base = pyramid.build(a.backbone, image_size, weights, channels=1, frozen_norm=a.weights != "none", head=True)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(base.output[32])
    x = keras.layers.Dropout(a.dropout, name="dropout")(x)
    x = keras.layers.Dense(findings, dtype="float32", name=FINDINGS)(x)
    return keras.Model(base.input, x, name="pretrain"), base


def _set_trainable(model: keras.Model, *, only_heads: bool, frozen_norm: bool) -> None:
    import keras

    for layer in model.layers:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name == FINDINGS or not (only_heads or (norm and frozen_norm))


class _Validation:
    """The findings of the validation images, and how well the network ranks them; uncertain ones count nowhere."""

    def __init__(self, model: keras.Model, data: story.TrainingData, rows: pd.DataFrame, findings: list[str]) -> None:
        self.model, self.store, self.findings = model, data.store, findings
        self.names, self.persons = list(rows.index), list(rows["person"])
        self.states = rows[findings].to_numpy(np.float64)

    def story(self) -> story.Validation:
        if not learnable(self.states).any():
            return story.Validation(None, "loss", "min")
        return story.Validation(self.validate, "val_auc", "max")

    def validate(self) -> dict[str, float]:
        """Mean AUC of the findings that have both classes."""
        once = np.ones(len(self.names))
        values = [float(measure(once)) for measure in self._aucs(self._logits())]
        return {"val_auc": float(np.nanmean(values))}

    def figures(self, figures: Intervals, learned: pd.DataFrame) -> dict[str, dict[str, Any]]:
        """AUC of each finding with its interval by person, and how many images say something of it."""
        measures = self._aucs(self._logits())
        result: dict[str, dict[str, Any]] = {}
        once = np.ones(len(self.names))

        def measure(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
            return {name: auc(weights) for name, auc in zip(self.findings, measures, strict=True)}

        ends = intervals(measure, self.persons, figures.bootstrap, figures.seed) if self.names else {}
        for i, name in enumerate(self.findings):
            low, high = ends.get(name, (float("nan"), float("nan")))
            states = self.states[:, i]
            result[name] = {
                "auc": float(measures[i](once)) if self.names else None,
                "auc_low": low,
                "auc_high": high,
                "positive": int((states == 1).sum()),
                "negative": int((states == 0).sum()),
                "train_positive": int((learned[name] == 1).sum()),
                "train_uncertain": int((learned[name] == -1).sum()),
            }
        return result

    def _aucs(self, logits: NDArray[np.float64]) -> list[Auc]:
        columns = zip(logits.T, self.states.T, strict=True)
        return [Auc(scores, (states == 1).astype(np.int64), states >= 0) for scores, states in columns]

    def _logits(self) -> NDArray[np.float64]:
        starts = range(0, len(self.names), VALIDATION_BATCH)
        parts = [self.store.batch(self.names[i : i + VALIDATION_BATCH])[..., None] for i in starts]
        found = [np.asarray(self.model.predict_on_batch(part)) for part in parts]
        return np.concatenate(found).astype(np.float64) if found else np.zeros((0, len(self.findings)))


def _write(folder: Path, backbone: keras.Model, architecture: Architecture, findings: Sequence[str]) -> None:
    from pneumonia.models.backbones import named_weights

    named_weights.save(folder / Path(BACKBONE_WEIGHTS).name, backbone.layers)
    described = {
        "kind": BACKBONE,
        "backbone": architecture.backbone,
        "image_size": backbone.input.shape[1],
        "findings": list(findings),
    }
    files.write_json(folder / DESCRIPTION, described)
