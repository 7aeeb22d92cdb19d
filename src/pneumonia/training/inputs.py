"""The files around a training stage: what it reads of data/, and where its numbers go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pneumonia.data.store import ShardStore
from pneumonia.files import read_csv, write_csv, write_json
from pneumonia.prediction.tables import BOX_COLUMNS
from pneumonia.training.story import Trained

if TYPE_CHECKING:
    import pandas as pd

SPLIT, STUDIES, BOXES = (Path("data") / name for name in ("split/split.csv", "clean/studies.csv", "clean/boxes.csv"))


class Inputs(NamedTuple):
    """What a training reads.

    Fields:
        store: images of the training's size.
        studies: columns study, subset, target.
        boxes: columns study, x, y, width, height in original pixels, if asked for.
        files: all that was read, for the hash that names the resume file.
    """

    store: ShardStore
    studies: pd.DataFrame
    boxes: pd.DataFrame | None
    files: list[Path]


def read(image_size: int, *, boxes: bool) -> Inputs:
    """Read split, targets, images of `image_size` pixels and, if asked for, boxes."""
    store = ShardStore(Path("data/images") / str(image_size))
    split = read_csv(SPLIT, {"study": "str", "subset": "str"})
    studies = split.merge(read_csv(STUDIES, {"study": "str", "target": "int"}), on="study", validate="one_to_one")
    tables = [SPLIT, STUDIES, *([BOXES] if boxes else [])]
    rows = read_csv(BOXES, BOX_COLUMNS) if boxes else None
    return Inputs(store, studies, rows, [*tables, *store.folder.iterdir()])


def write(name: str, trained: Trained) -> Path:
    """Write plots/history/<name>.csv and metrics/<name>.json; returns the first."""
    import pandas as pd

    path = Path(f"plots/history/{name}.csv")
    history = pd.DataFrame(trained.history)
    write_csv(path, history, dict.fromkeys(history.columns[1:], 6) | {"learning_rate": 8})
    write_json(f"metrics/{name}.json", trained.metrics)
    return path
