"""The drawing board: a square with a margin on which anatomy is drawn before it is tilted and cropped to the film.

Coordinates are shares of the film's side: (0, 0) its top-left corner, (1, 1) its bottom-right one; the margin reaches
from -MARGIN to 1 + MARGIN, so that a tilted patient shows no edge. A layer is a float32 array `[n, n]`, mostly 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import cv2
import numpy as np

MARGIN = 0.125

_SHIFT = 4  # OpenCV draws at sixteenths of a pixel
_LARGE_BLUR = 3.0  # pixels; a wider blur is done on a smaller copy, which cannot be told apart


class Canvas:
    """A drawing board, the film `side` pixels wide; `x` `[1, n]` and `y` `[n, 1]` are where its pixel centres are."""

    def __init__(self, side: int) -> None:
        if side % 8:
            raise ValueError(f"a canvas and its half need a side divisible by 8, got {side}")
        self.side = side
        self.n = round(side * (1 + 2 * MARGIN))
        axis = ((np.arange(self.n) + 0.5) / side - MARGIN).astype(np.float32)
        self.x, self.y = axis[None, :], axis[:, None]

    @cached_property
    def half(self) -> Canvas:
        """The same square at half the resolution, for layers without fine detail; `spread` brings them back."""
        return Canvas(self.side // 2)

    def spread(self, layer: np.ndarray) -> np.ndarray:
        """A layer of `half`, float32, at this canvas's resolution."""
        return cv2.resize(np.asarray(layer, np.float32), (self.n, self.n), interpolation=cv2.INTER_LINEAR)

    def fill(self, outline: np.ndarray, blur: float = 0.0) -> np.ndarray:
        """The inside of a polygon (points `[k, 2]`), its border softened by a Gaussian, `blur` a share of the side."""
        layer = np.zeros((self.n, self.n), np.uint8)
        cv2.fillPoly(layer, [self._fixed(outline)], 255, cv2.LINE_AA, _SHIFT)
        return self.smooth(layer.astype(np.float32) / 255.0, blur)

    def stroke(self, lines: Iterable[tuple[np.ndarray, float, float]], blur: float = 0.0) -> np.ndarray:
        """Lines (points `[k, 2]`, width as a share of the side, value 0 to 1); where they cross the later one shows."""
        layer = np.zeros((self.n, self.n), np.uint8)
        for points, width, value in lines:
            pixels = width * self.side
            if pixels < 1.0:  # OpenCV draws no thinner line: draw it fainter
                pixels, value = 1.0, value * pixels
            colour = min(255, round(255 * value))
            cv2.polylines(layer, [self._fixed(points)], False, colour, round(pixels), cv2.LINE_AA, _SHIFT)
        return self.smooth(layer.astype(np.float32) / 255.0, blur)

    def smooth(self, layer: np.ndarray, sigma: float) -> np.ndarray:
        """Gaussian blur; `sigma` is a share of the side."""
        pixels = sigma * self.side
        if pixels <= 0.2:
            return layer
        if pixels <= _LARGE_BLUR:
            return cv2.GaussianBlur(layer, (0, 0), pixels)
        small = max(8, round(self.n * _LARGE_BLUR / pixels))
        shrunk = cv2.resize(layer, (small, small), interpolation=cv2.INTER_AREA)
        shrunk = cv2.GaussianBlur(shrunk, (0, 0), _LARGE_BLUR, borderType=cv2.BORDER_REPLICATE)
        return cv2.resize(shrunk, (self.n, self.n), interpolation=cv2.INTER_CUBIC)

    def noise(self, rng: np.random.Generator, grain: float, octaves: int = 1) -> np.ndarray:
        """Smooth noise of about unit variance, its features `grain` (share of the side) wide; each octave halves both.

        The random numbers stand on a grid of their own, so the same `rng` gives the same pattern at every resolution.
        """
        total = np.zeros((self.n, self.n), np.float32)
        for octave in range(octaves):
            cells = max(4, round((1 + 2 * MARGIN) / grain * 2**octave))
            grid = rng.standard_normal((cells, cells), dtype=np.float32) * np.float32(1.4 * 0.5**octave)
            total += cv2.resize(grid, (self.n, self.n), interpolation=cv2.INTER_CUBIC)
        return total

    def film(self, layer: np.ndarray, posture: np.ndarray, size: int, *, sharp: bool = False) -> np.ndarray:
        """`layer` placed by `posture` (affine 2x3, canvas to film coordinates) on the film: float32 `[size, size]`.

        Arguments:
            sharp: cubic interpolation, which may overshoot; else linear.
        """
        to_canvas = np.array(
            [[1 / self.side, 0, 0.5 / self.side - MARGIN], [0, 1 / self.side, 0.5 / self.side - MARGIN], [0, 0, 1]]
        )
        drawn = max(size, self.side)
        flags = cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR
        to_pixels = np.array([[drawn, 0, -0.5], [0, drawn, -0.5], [0, 0, 1]])
        matrix = to_pixels @ np.vstack([posture, [0, 0, 1]]) @ to_canvas
        result = cv2.warpAffine(layer, matrix[:2], (drawn, drawn), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return result if drawn == size else cv2.resize(result, (size, size), interpolation=cv2.INTER_AREA)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        """Points in sixteenths of a pixel, as OpenCV's drawing functions take them with shift=4."""
        return np.rint(((points + MARGIN) * self.side - 0.5) * 2**_SHIFT).astype(np.int32)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logistic function, float32, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float32)


def curve(points: Iterable[tuple[float, float]], steps: int = 8, closed: bool = False) -> np.ndarray:
    """A smooth line through `points`: a uniform Catmull-Rom spline, float64 `[k, 2]`."""
    knots = np.array(list(points), dtype=np.float64)
    before = knots[-1:] if closed else 2 * knots[:1] - knots[1:2]
    after = knots[:2] if closed else 2 * knots[-1:] - knots[-2:-1]
    p = np.concatenate([before, knots, after])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[i : len(p) - 3 + i, None] for i in range(4))
    spline = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    spline = spline.reshape(-1, 2)
    return spline if closed else np.concatenate([spline, knots[-1:]])
