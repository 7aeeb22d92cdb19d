"""Do the activation maps look where the opacities are? Numbers for the maps of data/predictions/classifier/cam.npy.

A map is a coarse grid over the resized square image; only what raises the score (above zero) counts. Two measures of
the holdout studies with an opacity:

- pointing: the highest cell's centre lies in a truth box (the pointing game of Zhang et al. 2016, without its 15 pixels
  of tolerance: a cell is larger than that).
- mass: the share of the map inside the truth boxes (Wang et al. 2020, Score-CAM, call it the energy-based pointing
  game). A map is taken as constant within a cell, and a cell that a box covers in part counts in part.

A map without anything above zero points nowhere: both are 0.

A network may light some places of every image up (borders, where padding is seen): such a map shows where the score
comes from, but not what tells an ill study from a well one. So each measure is also of `cam_relative`, the map less
`usual_map`, the mean map of the validation studies without an opacity. Two maps that saw no image are measured beside it:
`uniform`, the same everywhere, whose mass is the area of the boxes; and `usual_place`, the mean of the boxes of all
studies outside the holdout: what is known before looking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pneumonia.data.subsets import subset
from pneumonia.evaluation.estimates import estimate
from pneumonia.schema.table import BOX

Array = NDArray[np.float64]


def coverage(boxes: ArrayLike, size: int, grid: tuple[int, int]) -> Array:
    """The share of each cell that lies in any of the boxes: float64 `[h, w]`, 0 to 1, exact.

    boxes: `[n, 4]` x1, y1, x2, y2 in pixels of a square image of `size`; grid: (h, w) cells over the whole of it.
    A box (0, 0, 48, 32) at size 128 on a grid of 4 x 4 covers the first cell and half of the second.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4).clip(0, size)
    rows, columns = (np.linspace(0, size, count + 1) for count in grid)
    ys = np.unique(np.r_[rows, corners[:, 1], corners[:, 3]])
    xs = np.unique(np.r_[columns, corners[:, 0], corners[:, 2]])
    # No edge of a cell or a box crosses a tile between neighbours of xs and ys: its middle stands for all of it.
    y, x = (ys[1:] + ys[:-1]) / 2, (xs[1:] + xs[:-1]) / 2
    inside_y = (y >= corners[:, 1:2]) & (y < corners[:, 3:4])  # (n, tiles down)
    inside_x = (x >= corners[:, 0:1]) & (x < corners[:, 2:3])
    inside = (inside_y[:, :, None] & inside_x[:, None, :]).any(axis=0)
    area = np.diff(ys)[:, None] * np.diff(xs)
    cell = (np.searchsorted(rows, y) - 1)[:, None], np.searchsorted(columns, x) - 1
    result = np.zeros(grid)
    np.add.at(result, cell, inside * area)
    share: Array = result / ((rows[1] - rows[0]) * (columns[1] - columns[0]))
    return share


def centres_inside(boxes: ArrayLike, size: int, grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether each cell's centre lies in any of the boxes: bool `[h, w]`; arguments as `coverage`'s."""
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).reshape(-1, 4).T[:, :, None]
    y, x = ((np.arange(count) + 0.5) * size / count for count in grid)
    down, across = (y >= y1) & (y < y2), (x >= x1) & (x < x2)  # (n, h), (n, w)
    return (down[:, :, None] & across[:, None, :]).any(axis=0)


def mass(maps: ArrayLike, shares: Array) -> Array:
    """The share of each map inside the boxes, of what is above zero: `[N]`; 0 where nothing is.

    maps: `[N, h, w]`; shares: the `coverage` of each study's boxes, `[N, h, w]`.
    """
    heat = np.asarray(maps, np.float64).clip(0)
    total = heat.sum(axis=(1, 2))
    inside = (heat * shares).sum(axis=(1, 2))
    return np.divide(inside, total, out=np.zeros(len(heat)), where=total > 0)


def pointing(maps: ArrayLike, centres: NDArray[np.bool_]) -> Array:
    """1 where the highest cell's centre lies in a box, else 0: `[N]`; of equal cells the first. Arguments as `mass`'s."""
    flat = np.asarray(maps, np.float64).reshape(len(centres), -1)
    hit = np.take_along_axis(centres.reshape(flat.shape), flat.argmax(axis=1)[:, None], 1)[:, 0]
    return (hit & (flat.max(axis=1) > 0)).astype(np.float64)


def usual_map(studies: pd.DataFrame, split: pd.DataFrame, maps: Mapping[str, NDArray[np.floating[Any]]]) -> Array:
    """The mean map of the validation studies without an opacity: `[h, w]`; zeros where there is none.

    studies: study, target; split: study, subset; maps: study -> `[h, w]`.
    """
    well = set(studies["study"][studies["target"] == 0])
    names = [s for s in sorted(split["study"][split["subset"] == "validation"]) if s in well and s in maps]
    if not names:
        return np.zeros(np.shape(next(iter(maps.values()))))
    mean: Array = np.mean([np.asarray(maps[name], np.float64) for name in names], axis=0)
    return mean


def explain(
    studies: pd.DataFrame,
    boxes: pd.DataFrame,
    split: pd.DataFrame,
    maps: Mapping[str, NDArray[np.floating[Any]]],
    to_resized: Callable[[str, Array], NDArray[np.floating[Any]]],
    size: int,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The content of metrics/explain.json: `cam`, `cam_relative`, `uniform`, `usual_place` with `pointing` and `mass`, and counts.

    studies: study, person, target; boxes: study, x, y, width, height (pixels of the original image); split: study,
    subset. maps: study -> activation map `[h, w]` over the resized square image of `size` pixels. to_resized: (study,
    boxes `[n, 4]` x, y, width, height in original pixels) -> corners `[n, 4]` in resized pixels. resamples, seed: of
    the 95% intervals, by resampling persons.

    Raises ValueError where a study of the holdout has no map.
    """
    holdout = subset(studies, boxes, split, "holdout")
    ill = holdout.studies[holdout.targets == 1]
    lost = [study for study in ill["study"] if study not in maps]
    if lost:
        raise ValueError(f"{len(lost)} holdout studies have no activation map, such as {lost[0]}: run predict again")
    result: dict[str, Any] = {"holdout": {"positives": len(ill)}}
    if ill.empty:
        return result
    own = np.stack([np.asarray(maps[study], np.float64) for study in ill["study"]])
    grid = (own.shape[1], own.shape[2])
    places = {str(study): rows[BOX].to_numpy(np.float64) for study, rows in boxes.groupby("study")}

    def corners(study: str) -> NDArray[np.floating[Any]]:
        return to_resized(study, places.get(study, np.zeros((0, 4))))

    shares = np.stack([coverage(corners(study), size, grid) for study in ill["study"]])
    centres = np.stack([centres_inside(corners(study), size, grid) for study in ill["study"]])
    others = set(split["study"][split["subset"] != "holdout"])
    known = [coverage(corners(study), size, grid) for study in sorted(others & places.keys())]
    usual = np.mean(known, axis=0) if known else np.ones(grid)
    result["cam"] = _measured(own, shares, centres, ill["person"].tolist(), resamples, seed)
    # The highest cell of a map that is the same everywhere is any of them: by chance, the share of the centres.
    relative = own - usual_map(studies, split, maps)
    result["cam_relative"] = _measured(relative, shares, centres, ill["person"].tolist(), resamples, seed)
    result["uniform"] = {"pointing": float(centres.mean()), "mass": float(shares.mean())}
    same = np.broadcast_to(usual, own.shape)
    result["usual_place"] = {
        "pointing": float(pointing(same, centres).mean()),
        "mass": float(mass(same, shares).mean()),
    }
    result["holdout"] |= {"maps_without_peak": int((own.max(axis=(1, 2)) <= 0).sum())}
    result["grid"] = {"rows": grid[0], "columns": grid[1]}
    return result


def _measured(
    maps: Array, shares: Array, centres: NDArray[np.bool_], persons: Sequence[str], resamples: int, seed: int
) -> dict[str, float]:
    values = {"pointing": pointing(maps, centres), "mass": mass(maps, shares)}

    def means(weights: Array) -> dict[str, Array]:
        return {name: weights @ value / weights.sum(axis=1) for name, value in values.items()}

    result: dict[str, float] = {}
    for name, own in estimate(means, persons, resamples=resamples, seed=seed).items():
        result |= own.named(name)
    return result
