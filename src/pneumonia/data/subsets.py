"""The studies of one subset of the split, with their truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labelled:
    """The studies of one subset with their truth.

    Attributes:
        studies: study, person, category, target, view and whatever else studies.csv tells.
        boxes: study, x, y, width, height in pixels of the original image; rows of other studies are ignored.
    """

    studies: pd.DataFrame
    boxes: pd.DataFrame
    ids: list[str] = field(init=False)
    targets: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", self.studies["study"].tolist())
        object.__setattr__(self, "targets", self.studies["target"].to_numpy(np.int64))

    def scores(self, scores: pd.Series) -> NDArray[np.float64]:
        """`scores` (indexed by study) in the order of the studies: float64 `[N]`; ValueError where a study has none."""
        values = scores.reindex(self.ids)
        if values.isna().any():
            raise ValueError(
                f"{int(values.isna().sum())} of {len(values)} studies have no score, the first is "
                f"{values.index[values.isna()][0]}: run the predict stages again"
            )
        return values.to_numpy(np.float64)

    def part(self, members: NDArray[np.bool_]) -> Labelled:
        """Only the studies where `members` `[N]` is true."""
        return Labelled(self.studies[members], self.boxes)

    def box_counts(self) -> NDArray[np.int64]:
        """int64 `[N]`: truth boxes of each study."""
        return np.asarray(self.boxes["study"].value_counts().reindex(self.ids, fill_value=0), np.int64)

    def counts(self) -> dict[str, int]:
        return {
            "studies": len(self.ids),
            "persons": int(self.studies["person"].nunique()),
            "positives": int(self.targets.sum()),
            "boxes": int(self.box_counts().sum()),
        }


def subset(studies: pd.DataFrame, boxes: pd.DataFrame, split: pd.DataFrame, name: str) -> Labelled:
    """The studies of one subset of `split`, sorted by id.

    Raises:
        ValueError: it is empty or a study is unknown.
    """
    ids = sorted(split["study"][split["subset"] == name])
    if not ids:
        more = "; with split.holdout 0 the figures come from `pneumonia crossval`" if name == "holdout" else ""
        raise ValueError(
            f"split.csv has no {name} study; split more studies or check split.folds and split.holdout{more}"
        )
    unknown = sorted(set(ids) - set(studies["study"]))
    if unknown:
        raise ValueError(f"split.csv names {len(unknown)} studies that studies.csv lacks, such as {unknown[0]}")
    chosen = studies.set_index("study").loc[ids].reset_index()
    chosen["person"] = chosen["person"].where(chosen["person"] != "", chosen["study"])
    return Labelled(chosen, boxes)
