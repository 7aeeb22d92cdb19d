"""The files around a training stage: what it reads of data/, and where its numbers go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pneumonia.data.images.store import ShardStore
from pneumonia.files import write_json
from pneumonia.schema.data import BOXES, IMAGES, SPLIT, STUDIES
from pneumonia.schema.training import METRICS, history
from pneumonia.training.story import Trained

if TYPE_CHECKING:
    import pandas as pd


class Inputs(NamedTuple):
    """What a training reads.

    Attributes:
        store: images of the training's size.
        studies: columns study, subset, target, category.
        boxes: columns study, x, y, width, height in original pixels, if asked for.
        files: all that was read, for the hash that names the resume file.
    """

    store: ShardStore
    studies: pd.DataFrame
    boxes: pd.DataFrame | None
    files: list[Path]


def read(image_size: int, *, boxes: bool) -> Inputs:
    """Read split, targets, images of `image_size` pixels and, if asked for, boxes."""
    store = ShardStore(Path(IMAGES, str(image_size)))
    split = SPLIT.read(columns=("study", "subset"))
    studies = split.merge(STUDIES.read(columns=("study", "target", "category")), on="study", validate="one_to_one")
    tables = [Path(table.path) for table in (SPLIT, STUDIES, *([BOXES] if boxes else []))]
    rows = BOXES.read() if boxes else None
    return Inputs(store, studies, rows, [*tables, *store.folder.iterdir()])


def write(name: str, trained: Trained) -> Path:
    """Write plots/history/<name>.csv and metrics/<name>.json; returns the first."""
    import pandas as pd

    epochs = pd.DataFrame(trained.history)
    table = history(epochs.columns[1:]).of(model=name)
    table.write(table.path, epochs)
    write_json(METRICS.format(model=name), trained.metrics)
    return Path(table.path)
