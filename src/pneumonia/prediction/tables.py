"""The prediction tables on disk: `scores.csv` and `detections.csv` of a model or of the ensemble."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pneumonia.files import fresh_dir
from pneumonia.schema.data import INDEX
from pneumonia.schema.predictions import DETECTIONS, SCORES
from pneumonia.schema.table import BOX


def read_detections(folder: str | Path) -> pd.DataFrame:
    """`detections.csv` of a folder: study, x, y, width, height (pixels of the original image), score."""
    return DETECTIONS.read_file(Path(folder) / DETECTIONS.name)


def read_scores(folder: str | Path) -> pd.Series:
    """`scores.csv` of a folder: score (0 to 1) indexed by study, in the order of the file.

    Raises ValueError where a study comes twice or a score is not between 0 and 1.
    """
    path = Path(folder) / SCORES.name
    frame = SCORES.read_file(path)
    if frame["study"].duplicated().any():
        raise ValueError(f"{path}: {frame['study'][frame['study'].duplicated()].iloc[0]} comes twice")
    odd = frame["score"][~frame["score"].between(0, 1)]
    if len(odd):
        raise ValueError(f"{path}: scores from 0 to 1 are wanted, got {odd.iloc[0]}")
    return frame.set_index("study")["score"]


def same_studies(scores: dict[str, pd.Series]) -> list[str]:
    """The studies all models scored, sorted. Raises ValueError where one model's differ from another's."""
    first = next(iter(scores))
    wanted = set(scores[first].index)
    for model, series in scores.items():
        differ = wanted.symmetric_difference(series.index)
        if differ:
            raise ValueError(
                f"{first} and {model} scored different studies ({len(differ)} differ, such as {min(differ)}): "
                "run the predict stage of both again"
            )
    return sorted(wanted)


def write_predictions(folder: str | Path, detections: pd.DataFrame, scores: pd.DataFrame | pd.Series) -> None:
    """Write both tables to a fresh folder: rows sorted by study and falling score, 2 and 6 decimals.

    scores: columns study, score, or a Series score indexed by study.
    """
    if isinstance(scores, pd.Series):
        scores = pd.DataFrame({"study": scores.index, "score": scores.to_numpy()})
    detections = detections[list(DETECTIONS.columns)].sort_values(
        ["study", "score", *BOX], ascending=[True, False, *(True for _ in BOX)], kind="stable"
    )
    with fresh_dir(folder) as temporary:
        DETECTIONS.write(temporary / DETECTIONS.name, detections)
        SCORES.write(temporary / SCORES.name, scores.sort_values("study", kind="stable"))


def image_sizes(path: str | Path, studies: Iterable[str] | None = None) -> pd.DataFrame:
    """Original sizes from a table with study, columns, rows (index.csv, studies.csv): columns and rows by study."""
    frame = INDEX.read_file(path, ("study", "columns", "rows")).set_index("study")
    return frame if studies is None else frame.loc[list(studies)]
