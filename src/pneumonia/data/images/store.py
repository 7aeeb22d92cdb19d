"""Studies as square uint8 images: `ShardStore` reads what `pneumonia.data.shards` wrote (frames: `pneumonia.data.images.squares`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pneumonia.data.images.squares import Placement
from pneumonia.schema.data import INDEX


def shard_name(number: int) -> str:
    """File name of a shard: `shard-00007.npy`."""
    return f"shard-{number:05d}.npy"


class StudyRow(NamedTuple):
    """A row of index.csv, in the order of `pneumonia.schema.data.INDEX`."""

    shard: int
    row: int
    scale: float
    pad_x: float
    pad_y: float
    columns: int
    rows: int
    aspect: float
    window: str


class ShardStore:
    """The images of one size, memory-mapped and read-only: `ShardStore(Path("data/images/192"))`.

    `size` is the side in pixels, `index` the index.csv as a DataFrame indexed by study. Cheap to pickle: a worker
    process maps the files anew. Raises FileNotFoundError without an index, ValueError where a study stands in it twice.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / INDEX.name
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: its stage has not run, or its size is not one of images.sizes")
        self.index: pd.DataFrame = INDEX.read_file(path).set_index("study")
        if not self.index.index.is_unique:
            twice = self.index.index[self.index.index.duplicated()][0]
            raise ValueError(f"{path}: study {twice!r} stands there twice; remove the folder and run its stage again")
        self._rows = {study: StudyRow(*row) for study, *row in self.index.itertuples()}  # far faster than index.loc
        self._shards: dict[int, np.ndarray] = {}
        self.size = int(self._shard(0).shape[1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}  # a memory map would be pickled as all its pixels

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, study: object) -> bool:
        return study in self._rows

    def _shard(self, number: int) -> np.ndarray:
        if number not in self._shards:
            self._shards[number] = np.load(self.folder / shard_name(number), mmap_mode="r", allow_pickle=False)
        return self._shards[number]

    def _row(self, study: str) -> StudyRow:
        try:
            return self._rows[study]
        except KeyError:
            raise KeyError(f"study {study!r} is not in {self.folder / INDEX.name} ({len(self)} studies)") from None

    def image(self, study: str) -> np.ndarray:
        """The image of one study, uint8 `[size, size]`, a copy."""
        row = self._row(study)
        return np.array(self._shard(row.shard)[row.row])

    def batch(self, studies: Sequence[str]) -> np.ndarray:
        """The images of `studies` in that order, uint8 `[B, size, size]`."""
        images = np.empty((len(studies), self.size, self.size), np.uint8)
        for i, study in enumerate(studies):
            row = self._row(study)
            images[i] = self._shard(row.shard)[row.row]
        return images

    def placement(self, study: str) -> Placement:
        """Scale and padding of a study."""
        row = self._row(study)
        return Placement(row.scale, row.pad_x, row.pad_y, row.aspect)

    def to_resized(self, study: str, boxes: np.ndarray) -> np.ndarray:
        """`Placement.to_resized` of the study."""
        return self.placement(study).to_resized(boxes)

    def to_original(self, study: str, boxes: np.ndarray) -> np.ndarray:
        """`Placement.to_original` of the study."""
        row = self._row(study)
        return self.placement(study).to_original(boxes, row.columns, row.rows)
