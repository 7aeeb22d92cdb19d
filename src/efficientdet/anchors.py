"""Anchors of the pyramid's levels P3 to P7: constants, so NumPy (Lin et al. 2017, "Focal Loss", section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVELS = (3, 4, 5, 6, 7)  # a cell of level l has a side of 2^l pixels
OCTAVES = 3  # anchors of 1, 2^(1/3) and 2^(2/3) times a level's own size


def grids(image_size: int) -> list[int]:
    """Cells along a side of each level, of a square image: 192 has 24, 12, 6, 3, 2."""
    return [math.ceil(image_size / 2**level) for level in LEVELS]


def anchors(image_size: int, scale: float, ratios: Sequence[float]) -> NDArray[np.float32]:
    """All anchors, float32 `[N, (x1, y1, x2, y2)]` in pixels of the image; they may reach beyond it.

    Level by level, row by row; at the middle of each cell every ratio of each of the `OCTAVES` sizes.

    Arguments:
        scale: side of a level's smallest square anchor, in cells; 4 in the paper.
        ratios: width / height.
    """
    size, ratio = (
        grid.ravel()
        for grid in np.meshgrid(2.0 ** (np.arange(OCTAVES) / OCTAVES), np.asarray(ratios, float), indexing="ij")
    )
    # w = s * sqrt(r), h = s / sqrt(r): the area is s^2
    shapes = np.stack([size * np.sqrt(ratio), size / np.sqrt(ratio)], axis=-1) * scale  # (K, 2) in cells
    found = []
    for level, cells in zip(LEVELS, grids(image_size), strict=True):
        middle = np.arange(cells) + 0.5
        x, y = np.meshgrid(middle, middle)
        centers = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        found.append(np.concatenate([centers - shapes / 2, centers + shapes / 2], axis=-1).reshape(-1, 4) * 2**level)
    return np.concatenate(found).astype(np.float32)
