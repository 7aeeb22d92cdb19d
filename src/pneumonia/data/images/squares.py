"""Where a study lies in its square image: padded, resized, and the way back.

Frames: a study is padded with black to a square in whole original pixels (centred), then resized, so that one scale
holds exactly: `x_resized = x * scale + pad_x`, `y_resized = y * aspect * scale + pad_y`. `aspect` is the height of a
pixel over its width, 1 in all but odd files. Coordinates are pixel edges (the left edge of the first pixel is 0), the
convention of the challenge's boxes and of `cv2.resize`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from keraskit.boxes.arrays import clip, xywh_to_xyxy, xyxy_to_xywh


class Placement(NamedTuple):
    """Where a study lies in its resized square: `x_resized = x * scale + pad_x`, pads in resized pixels.

    `aspect`: what rows are stretched by before, so that `y_resized = y * aspect * scale + pad_y`.
    """

    scale: float
    pad_x: float
    pad_y: float
    aspect: float = 1.0

    def to_resized(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes `[N, 4]` (x, y, width, height), original pixels -> float32 `[N, 4]` (x1, y1, x2, y2), resized pixels.

        At scale 0.25 and pad_y 8, (40, 40, 100, 200) becomes (10, 18, 35, 68).
        """
        gain, pad = self._affine()
        return (xywh_to_xyxy(np.asarray(boxes, np.float64)) * gain + pad).astype(np.float32)

    def to_original(self, boxes: np.ndarray, columns: int, rows: int) -> np.ndarray:
        """Boxes `[N, 4]` (x1, y1, x2, y2), resized pixels -> float32 `[N, 4]` (x, y, width, height), original pixels.

        The inverse of `to_resized`, clipped to the image of `columns` x `rows`: what lies in the padding alone gets no
        width or no height.
        """
        gain, pad = self._affine()
        corners = (np.asarray(boxes, np.float64).reshape(-1, 4) - pad) / gain
        return xyxy_to_xywh(clip(corners, [0, 0, columns, rows])).astype(np.float32)

    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Gain and pad of (x1, y1, x2, y2)."""
        return np.array([self.scale, self.scale * self.aspect] * 2), np.array([self.pad_x, self.pad_y] * 2)


def placement(columns: int, rows: int, size: int, aspect: float = 1.0) -> Placement:
    """Placement of a study of `columns` x `rows` pixels in a square of `size` pixels, proportions kept, centred.

    The padding is a whole number of original pixels (an odd one goes right or below): 1000 x 600 at size 500 gives
    scale 0.5, pad_x 0, pad_y (400 // 2) * 0.5 = 100. Pixels `aspect` times as high as wide are first made square, to a
    whole number of rows; the result's aspect is that number over `rows`.
    """
    if min(columns, rows, size) < 1:
        raise ValueError(f"columns, rows and size must be at least 1, got {columns}, {rows}, {size}")
    height = square_rows(rows, aspect)
    side = max(columns, height)
    scale = size / side
    return Placement(scale, (side - columns) // 2 * scale, (side - height) // 2 * scale, height / rows)


def square_rows(rows: int, aspect: float) -> int:
    """Rows of an image once its pixels, `aspect` times as high as wide, are square: 1000 at 1.5 are 1500."""
    return max(1, round(rows * aspect))


def resize_study(image: np.ndarray, size: int, aspect: float = 1.0) -> np.ndarray:
    """Pad `image` (uint8 `[H, W]`) to a square with zeros and resize it to uint8 `[size, size]`, as `placement` says.

    Shrinking averages over the covered area, so that no thin line aliases away; enlarging is bilinear.
    """
    if image.ndim != 2 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"image must be uint8 [rows, columns], got {image.dtype} {list(image.shape)}")
    if not aspect > 0:
        raise ValueError(f"aspect (height / width of a pixel) must be above 0, got {aspect}")
    columns, rows = image.shape[1], square_rows(image.shape[0], aspect)
    if rows != image.shape[0]:
        image = _resize(image, columns, rows)
    side = max(rows, columns)
    if rows != columns:
        top, left = (side - rows) // 2, (side - columns) // 2
        bottom, right = side - rows - top, side - columns - left
        image = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    return np.ascontiguousarray(image) if side == size else _resize(image, size, size)


def _resize(image: np.ndarray, columns: int, rows: int) -> np.ndarray:
    shrinks = columns * rows < image.size
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
