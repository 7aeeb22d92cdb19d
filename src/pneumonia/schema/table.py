"""A CSV file of the project: where it lies, which columns it has, how it is read and written; the columns of a box."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pneumonia.files import read_csv, write_csv

if TYPE_CHECKING:
    import pandas as pd

# A box on disk: top-left corner and sides, float pixels of the original image.
BOX = ["x", "y", "width", "height"]
BOX_TYPES = dict.fromkeys(BOX, "float")
BOX_DECIMALS = dict.fromkeys(BOX, 2)


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        path: from the project's root, `/`-separated; may hold blanks to be filled in: `data/images/{size}/index.csv`.
        columns: name -> dtype ("str", "int" or "float"), in the order of the file.
        decimals: name -> digits after the point, of the float columns that are written with a fixed number of them.
    """

    path: str
    columns: Mapping[str, str]
    decimals: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return Path(self.path).name

    def of(self, **blanks: str | int) -> Table:
        """The table with the blanks of its path filled in. Raises KeyError where one is left."""
        return replace(self, path=self.path.format(**blanks))

    def some(self, columns: Iterable[str]) -> dict[str, str]:
        """`columns` with their dtypes. Raises ValueError for one that the table does not have."""
        columns = list(columns)
        unknown = [name for name in columns if name not in self.columns]
        if unknown:
            raise ValueError(f"{self.path} has no columns {unknown}, only {list(self.columns)}")
        return {name: self.columns[name] for name in columns}

    def read(self, root: str | Path = ".", columns: Iterable[str] | None = None) -> pd.DataFrame:
        """Read the table of the project at `root`.

        Arguments:
            columns: those that are needed, in the order wanted; the file may lack the others. None: all.

        Raises:
            ValueError: naming the file, where a needed column is missing.
        """
        return self.read_file(Path(root) / self.path, columns)

    def read_file(self, path: str | Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """`read`, of a file with this table's columns that lies elsewhere."""
        return read_csv(path, self.some(self.columns if columns is None else columns))

    def write(self, path: str | Path, frame: pd.DataFrame) -> None:
        """Write the table's columns of `frame`, in their order, to `path`. Raises ValueError where `frame` lacks one."""
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise ValueError(f"{path}: columns {missing} are missing, got {list(frame.columns)}")
        write_csv(path, frame[list(self.columns)], self.decimals)
