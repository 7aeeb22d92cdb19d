"""Made-up sets in other projects' layouts, through fetch and clean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pneumonia.data.clean import clean
from pneumonia.sources.foreign.fetch import fetch_labelled
from pneumonia.sources.foreign.marked import Options

WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "choice": 1, "percentiles": [0.5, 99.5]}


def grey(rows: int = 100, columns: int = 200, bits: int = 8) -> np.ndarray:
    """An image whose pixels all differ from their neighbours."""
    values = np.arange(rows * columns).reshape(rows, columns) % 2**bits
    return values.astype(np.uint16 if bits == 16 else np.uint8)


def picture(suffix: str = ".png", **shape: int) -> bytes:
    """`grey` as a file."""
    done, data = cv2.imencode(suffix, grey(**shape))
    assert done
    return data.tobytes()


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """The folder with these files in it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


class Cleaned:
    """What fetch and clean make of a set."""

    def __init__(self, folder: Path, layout: str, files: Mapping[str, bytes | str], **options: Any) -> None:
        self.raw, clean_folder = folder / "raw", folder / "clean"
        clean_folder.mkdir(parents=True)
        fetch_labelled(layout, write(folder / "set", files), self.raw, Options(**options))
        self.metrics = clean(self.raw, clean_folder, min_box_side=4, max_age=110, window=WINDOW)
        self.studies, boxes, self.rejected = (
            pd.read_csv(clean_folder / name, dtype={"study": str, "person": str}, keep_default_na=False)
            for name in ("studies.csv", "boxes.csv", "rejected.csv")
        )
        self.boxes = [tuple(row) for row in boxes.itertuples(index=False)]

    def of(self, column: str) -> dict[str, Any]:
        """Study -> value of a column of studies.csv."""
        return dict(zip(self.studies["study"], self.studies[column], strict=True))

    @property
    def reasons(self) -> dict[str, str]:
        """Rejected study -> reason."""
        return dict(zip(self.rejected["study"], self.rejected["reason"], strict=True))
