"""A training as a stage of the pipeline: device, inputs and resume file before it, numbers and MLflow's record after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from keraskit.compute import devices
from pneumonia.schema.training import BACKBONE_WEIGHTS, MODELS, PRETRAINED, STATE
from pneumonia.training import inputs, tracking
from pneumonia.training.augmentation import Augmentation
from pneumonia.training.batches import state_path
from pneumonia.training.groups import Sampling, pick
from pneumonia.training.story import OnEpoch, Trained, TrainingData


class Train(Protocol):
    """`train` of a model, with all that is its own already given."""

    def __call__(self, data: TrainingData, out: Path, state: Path | None, *, on_epoch: OnEpoch | None) -> Trained:
        """Train, write `out`."""


def run(name: str, train: Train, values: Mapping[str, Any], track: Mapping[str, Any], *, boxes: bool) -> None:
    """Make models/<name>, metrics/<name>.json and plots/history/<name>.csv.

    Arguments:
        values: the model's section of params.yaml, plain values: those that all models share are used here, and all
            decide which resume file fits and are what MLflow notes.
        track: the section `tracking`.
        boxes: whether the model learns from boxes.
    """
    devices.configure(values["device"], values["precision"], values["seed"], values["devices"])
    read = inputs.read(values["image_size"], boxes=boxes)
    sampling, augmentation = pick(Sampling, values), pick(Augmentation, values["augmentation"])
    mosaics = values["augmentation"].get("mosaic", 0.0)  # a classifier has none
    data = TrainingData(read.store, read.studies, read.boxes, sampling, augmentation, mosaics)
    out = Path(MODELS, name)
    read.files.extend(Path(BACKBONE_WEIGHTS) for _ in range(values["weights"] == PRETRAINED))
    state = state_path(Path(STATE, name), values, read.files)
    follow = tracking.run(**track, name=name, params=values, tags=tracking.tags(f"train_{name}", read.files))
    with devices.parallel(values["devices"]), follow as record:
        trained = train(data, out, state, on_epoch=record.log_metrics)
        record.log_history(inputs.write(name, trained))
        record.log_artifact(out)
