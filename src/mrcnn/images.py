"""Images and masks between their own size and the network's, in NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from mrcnn.config import RESIZE_MODES, Config


def resize(image: np.ndarray, output_shape: Sequence[int]) -> np.ndarray:
    """Bilinear resize to `output_shape` `(height, width)` without smoothing, dtype kept.

    Pixel centres at half coordinates and black beyond the border, the convention of scikit-image's `resize`, on which
    Matterport's numbers rest.
    """
    if tuple(image.shape[:2]) == tuple(output_shape[:2]):
        return image.copy()
    zoom = [new / old for new, old in zip(output_shape[:2], image.shape[:2], strict=True)]
    result = np.empty((*output_shape[:2], *image.shape[2:]), image.dtype)
    low, high = image.min(), image.max()
    for at in np.ndindex(image.shape[2:]):  # the same values as of all channels at once, at half the cost
        channel = (..., *at)
        values = ndimage.zoom(image[channel].astype(np.float64), zoom, order=1, mode="grid-constant", grid_mode=True)
        result[channel] = np.clip(values, low, high)
    return result


def resize_image(
    image: np.ndarray,
    min_dim: int | None = None,
    max_dim: int | None = None,
    min_scale: float | None = None,
    mode: str = "square",
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, tuple[int, int, int, int], float, Any, tuple[int, int, int, int] | None]:
    """Resize `image` `[H, W, C]`, keeping its aspect ratio.

    Modes: "none": as it is. "square": the shorter side to `min_dim` at least (never shrunk for it), the longer to
    `max_dim` at most, then zeros around it to `max_dim x max_dim`. "pad64": the shorter side to `min_dim` at least, then zeros
    around it until both sides are multiples of 64. "crop": the shorter side to `min_dim`, then a random `min_dim x min_dim`
    part (`rng`; without one, the middle).

    Returns:
        image; window `(y1, x1, y2, x2)` of the image in the result, pixels; scale; padding `[(top, bottom), (left,
        right), (0, 0)]`; crop `(y, x, height, width)` or None.
    """
    if mode not in RESIZE_MODES:
        raise ValueError(f"mode must be one of {RESIZE_MODES}, got {mode!r}")
    height, width = image.shape[:2]
    padding, crop = [(0, 0), (0, 0), (0, 0)], None
    if mode == "none":
        return image, (0, 0, height, width), 1, padding, crop
    scale = 1.0
    if min_dim:
        scale = max(1.0, min_dim / min(height, width))
    if min_scale and scale < min_scale:
        scale = min_scale
    if max_dim and mode == "square" and round(max(height, width) * scale) > max_dim:
        scale = max_dim / max(height, width)
    if scale != 1:
        image = resize(image, (round(height * scale), round(width * scale)))
    height, width = image.shape[:2]
    if mode in ("square", "pad64"):
        if not max_dim and mode == "square":
            raise ValueError("mode 'square' needs max_dim, the side of the result")
        if min_dim and min_dim % 64 and mode == "pad64":
            raise ValueError(f"mode 'pad64' needs a multiple of 64 as min_dim, got {min_dim}")
        rows, columns = (max_dim if mode == "square" else side + -side % 64 for side in (height, width))
        top, left = (rows - height) // 2, (columns - width) // 2
        padding = [(top, rows - height - top), (left, columns - width - left), (0, 0)]
        image = np.pad(image, padding)
        window = (top, left, top + height, left + width)
    else:
        if not min_dim:
            raise ValueError("mode 'crop' needs min_dim, the side of the result")
        room = height - min_dim, width - min_dim
        y, x = (int(rng.integers(n + 1)) for n in room) if rng is not None else (n // 2 for n in room)
        crop = (y, x, min_dim, min_dim)
        image = image[y : y + min_dim, x : x + min_dim]
        window = (0, 0, min_dim, min_dim)
    return image, window, scale, padding, crop


def resize_mask(mask: np.ndarray, scale: float, padding: Any, crop: Sequence[int] | None = None) -> np.ndarray:
    """`mask` bool `[H, W, n]` moved as `resize_image` moved its image (nearest neighbour).

    The pixels are those that `scipy.ndimage.zoom(mask, (scale, scale, 1), order=0)` takes, as Matterport's.
    """
    if scale != 1:
        (rows, row_there), (columns, column_there) = (_nearest(side, scale) for side in mask.shape[:2])
        mask = mask[rows][:, columns]
        mask[~row_there] = 0
        mask[:, ~column_there] = 0
    if crop is not None:
        y, x, height, width = crop
        return mask[y : y + height, x : x + width]
    return np.pad(mask, padding)


def _nearest(side: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The pixel of `side` that each of the resized ones is, and whether it is there: the last one's place is not where
    rounding steps over the border."""
    count = round(side * scale)
    place = np.arange(count) * ((side - 1) / (count - 1) if count > 1 else 0.0)
    return np.minimum(np.floor(place + 0.5), side - 1).astype(np.intp), place <= side - 1


def mold_image(image: np.ndarray, config: Config) -> np.ndarray:
    """RGB of any dtype -> float32 with the mean pixel subtracted."""
    return (image - np.asarray(config.MEAN_PIXEL, np.float64)).astype(np.float32)


def unmold_image(image: np.ndarray, config: Config) -> np.ndarray:
    """The inverse of `mold_image`, uint8."""
    return np.around(image + np.asarray(config.MEAN_PIXEL)).astype(np.uint8)


def extract_bboxes(mask: np.ndarray) -> np.ndarray:
    """Tight boxes int32 `[n, (y1, x1, y2, x2)]` of masks `[H, W, n]`, far edges outside; zeros for an empty mask."""
    boxes = np.zeros((mask.shape[-1], 4), np.int32)
    for i in range(mask.shape[-1]):
        rows, columns = np.flatnonzero(mask[:, :, i].any(axis=1)), np.flatnonzero(mask[:, :, i].any(axis=0))
        if len(rows):
            boxes[i] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    return boxes


def minimize_mask(bbox: np.ndarray, mask: np.ndarray, mini_shape: Sequence[int]) -> np.ndarray:
    """Each mask's part inside its box at `mini_shape`, bool `[*mini_shape, n]`; saves memory where images are large."""
    mini = np.zeros((*mini_shape, mask.shape[-1]), bool)
    for i, box in enumerate(bbox):
        y1, x1, y2, x2 = box[:4]
        part = mask[y1:y2, x1:x2, i].astype(np.float64)
        if part.size == 0:
            raise ValueError(f"instance {i} has a box without area: {np.asarray(box).tolist()}")
        mini[:, :, i] = np.around(resize(part, mini_shape)).astype(bool)
    return mini


def expand_mask(bbox: np.ndarray, mini_mask: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """The inverse of `minimize_mask`, up to the lost detail: bool `[H, W, n]`."""
    mask = np.zeros((*image_shape[:2], mini_mask.shape[-1]), bool)
    for i, box in enumerate(bbox):
        y1, x1, y2, x2 = box[:4]
        part = resize(mini_mask[:, :, i].astype(np.float64), (y2 - y1, x2 - x1))
        mask[y1:y2, x1:x2, i] = np.around(part).astype(bool)
    return mask


def unmold_mask(mask: np.ndarray, bbox: Sequence[int], image_shape: Sequence[int]) -> np.ndarray:
    """A network's mask (probabilities `[h, w]`) of `bbox` `(y1, x1, y2, x2)`, pixels, as bool `[H, W]` of the image."""
    y1, x1, y2, x2 = bbox
    full = np.zeros(image_shape[:2], bool)
    full[y1:y2, x1:x2] = resize(mask.astype(np.float64), (y2 - y1, x2 - x1)) >= 0.5
    return full
