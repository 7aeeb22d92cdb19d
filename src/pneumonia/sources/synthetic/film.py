"""From attenuation to grey values: scatter, exposure, film curve, grid, noise, collimator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

_SHOULDER = np.float32(1.0)  # 0 would be linear
_TILE_MARGIN = 256  # pixels: noise is cut from a tile that much larger, at a random place, and flipped at random


@dataclass(frozen=True)
class Exposure:
    """How one film was taken and displayed."""

    low: float  # attenuation shown black
    high: float  # attenuation shown white
    gamma: float
    scatter: float  # share of the rays that went astray and only veil
    noise: float  # standard deviation in grey levels at 1024 pixels
    slope: tuple[float, float]  # uneven plate: brightness across and down, share of the range
    grid: tuple[
        float, float
    ]  # lines of an anti-scatter grid: period in shares of the side (0 for none), amplitude in grey levels
    border: tuple[float, float, float, float]  # left, top, right, bottom: what the collimator covers


def sample_exposure(rng: np.random.Generator, view: str) -> Exposure:
    """Portable films (AP) scatter more and are exposed less evenly."""
    ap = view == "AP"
    border = [0.0, 0.0, 0.0, 0.0]
    if rng.random() < 0.35:
        for edge in range(4):
            if rng.random() < 0.5:
                border[edge] = rng.uniform(0.005, 0.05)
    return Exposure(
        low=rng.uniform(0.02, 0.24),
        high=rng.uniform(0.98, 1.34),
        gamma=float(np.exp(rng.normal(0.0, 0.22))),
        scatter=rng.uniform(0.10, 0.38) if ap else rng.uniform(0.03, 0.18),
        noise=rng.uniform(4.0, 9.0) if ap else rng.uniform(2.5, 6.0),
        slope=(rng.normal(0, 0.07 if ap else 0.03), rng.normal(0, 0.07 if ap else 0.03)),
        grid=(rng.uniform(0.0035, 0.008), rng.uniform(1.0, 2.5))
        if rng.random() < (0.15 if ap else 0.05)
        else (0.0, 0.0),
        border=(border[0], border[1], border[2], border[3]),
    )


def develop(attenuation: np.ndarray, veil: np.ndarray, exposure: Exposure) -> np.ndarray:
    """Grey values, float32 0 to 255, of attenuation `[n, n]`; `veil` is the same, blurred widely."""
    z = (1 - exposure.scatter) * attenuation + exposure.scatter * veil
    z = (z - exposure.low) / (exposure.high - exposure.low)
    across = np.linspace(-0.5, 0.5, z.shape[1], dtype=np.float32)
    z += exposure.slope[0] * across[None, :] + exposure.slope[1] * across[:, None]
    np.clip(z, 0.0, None, out=z)
    # A film's shoulder: bright parts are pressed together, the brighter the more.
    dark = cv2.exp(-_SHOULDER * cv2.pow(z, exposure.gamma))
    return np.asarray(np.minimum((255.0 / (1.0 - np.exp(-_SHOULDER))) * (1.0 - dark), 255.0), np.float32)


def expose(grey: np.ndarray, overlay: np.ndarray, exposure: Exposure, rng: np.random.Generator) -> np.ndarray:
    """Put devices (uint8 overlay), noise, grid and collimator on developed grey values `[size, size]`, in place.

    Noise is averaged away in a smaller film as it would be in the same film scaled down.

    Returns:
        float32 0 to 255.
    """
    size = grey.shape[0]
    drawn = overlay > 0
    opaque = overlay[drawn].astype(np.float32) * np.float32(0.92 / 255)
    grey[drawn] += opaque * (252.0 - grey[drawn])
    strength = exposure.noise * min(1.0, 1.4 * size / 1024) * (1.0 if size >= 512 else 0.6)
    y, x = rng.integers(0, _TILE_MARGIN, 2).tolist()
    flip_y, flip_x = rng.choice([-1, 1], 2).tolist()
    grey += np.float32(strength) * _noise_tile(size)[y : y + size, x : x + size][::flip_y, ::flip_x]
    period, amplitude = exposure.grid
    if period * size > 3:  # finer lines than the pixels can carry would only alias
        lines = amplitude * np.sin(2 * np.pi * np.arange(size) / (period * size))
        grey += lines.astype(np.float32)[None, :]
    left, top, right, bottom = (round(share * size) for share in exposure.border)
    if left or top or right or bottom:
        covered = np.float32(3.0)
        grey[:top] = grey[size - bottom :] = covered
        grey[:, :left] = grey[:, size - right :] = covered
    return np.clip(grey, 0.0, 255.0, out=grey)


@cache
def _noise_tile(size: int) -> np.ndarray:
    """Noise of unit variance, float32 `[size + margin, size + margin]`; to draw it anew takes 15 ms a study."""
    side = size + _TILE_MARGIN
    tile = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    if size >= 512:  # the plate blurs its own noise a little
        tile = np.asarray(cv2.GaussianBlur(tile, (3, 3), 0.6), np.float32)
        tile /= tile.std()
    tile.flags.writeable = False
    return tile
