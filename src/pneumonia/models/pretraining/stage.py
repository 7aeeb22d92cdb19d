"""The files around the stage pretrain: where its numbers go, also where there is nothing to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pneumonia.files import write_json
from pneumonia.models.pretraining import training
from pneumonia.schema.pretraining import NAME, OFF
from pneumonia.schema.training import BACKBONE, METRICS, MODELS, STATE, history
from pneumonia.training import inputs, tracking
from pneumonia.training.batches import state_path
from pneumonia.training.groups import Epochs, Optimization, Sampling, pick
from pneumonia.training.story import TrainingData

if TYPE_CHECKING:
    from pneumonia.data.images.store import ShardStore

OUT = Path(MODELS, BACKBONE)


def off() -> None:
    """What the stage leaves where the source is "none": a folder without weights, a history without epochs."""
    training.write_off(OUT)
    table = history(["loss", "val_auc", "learning_rate"]).of(model=NAME)
    table.write(table.path, pd.DataFrame(columns=list(table.columns)))
    write_json(METRICS.format(model=NAME), {"source": OFF})


def run(
    store: ShardStore,
    labels: pd.DataFrame,
    findings: Sequence[str],
    counts: Mapping[str, Any],
    files: Sequence[Path],
    values: Mapping[str, Any],
    track: Mapping[str, Any],
) -> None:
    """Train, and write models/backbone, metrics and history.

    Arguments:
        labels, findings: see `training.train`.
        counts: join the metrics.
        files: all that was read; with `values` they decide which resume file fits.
        values: the section `pretrain` of params.yaml, plain values.
        track: the section `tracking`.
    """
    from keraskit.compute import devices
    from pneumonia.training.augmentation import Augmentation
    from pneumonia.training.lung_masks import LungMasks

    devices.configure(values["device"], values["precision"], values["seed"], values["devices"])
    augmentation: Any = LungMasks(pick(Augmentation, values["augmentation"]), values["lung_masks"])
    sampling = Sampling(values["batch_size"], 0.0, values["seed"])
    # `target` chooses what an epoch shows; here it shows everything.
    subset = training.subsets(list(labels["person"]), values["validation"], values["seed"])
    studies = pd.DataFrame({"study": labels["image"], "subset": subset, "target": 0})
    data = TrainingData(store, studies, None, sampling, augmentation)
    state = state_path(Path(STATE, NAME), values, files)
    follow = tracking.run(**track, name=NAME, params=values, tags=tracking.tags(NAME, files))
    with devices.parallel(values["devices"]), follow as record:
        trained = training.train(
            data,
            labels,
            findings,
            OUT,
            state,
            architecture=pick(training.Architecture, values),
            targets=pick(training.Targets, values),
            epochs=pick(Epochs, values),
            patience=values["patience"],
            optimization=pick(Optimization, values),
            average=values["average"],
            figures=pick(training.Intervals, values),
            on_epoch=record.log_metrics,
        )
        record.log_history(inputs.write(NAME, trained._replace(metrics={**trained.metrics, **counts})))
        record.log_artifact(OUT)
