"""Black outside of something like two lungs, as an augmentation: some published radiographs are cut out so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumonia.training.augmentation import Augmentation

# Centre x and y, half width and half height of the image's right lung, shares of the side; the left one is its mirror image.
LUNG = (0.29, 0.47, 0.15, 0.34)
WAVES = 4  # of the outline


@dataclass(frozen=True)
class LungMasks:
    """An augmentation after which an image may be black outside of two drawn lungs.

    Attributes:
        augmentation: comes before.
        probability: of a mask.
    """

    augmentation: Augmentation
    probability: float

    def __call__(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
        """As `Augmentation`; boxes stay, whatever is black."""
        image, boxes, kept = self.augmentation(image, boxes, rng)
        if self.probability and rng.random() < self.probability:
            image = np.where(draw(image.shape[0], rng), image, 0).astype(np.uint8)
        return image, boxes, kept


def draw(size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Two lungs, bool `[size, size]`: ellipses whose place, size and outline are drawn."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    mask = np.zeros((size, size), bool)
    for side in (0, 1):
        cx, cy, width, height = np.array(LUNG) + rng.uniform(-0.02, 0.02, 4)
        dx, dy = (x - (1 - cx if side else cx)) / width, (y - cy) / height
        angle = np.arctan2(dy, dx)
        outline = np.ones_like(x)
        for wave in range(2, 2 + WAVES):
            outline += rng.uniform(-0.04, 0.04) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
        mask |= np.hypot(dx, dy) < outline
    return mask
