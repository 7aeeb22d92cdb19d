"""Augmentation of one study's image, its boxes following, through imgaug.

Never a vertical flip: the heart and the diaphragm tell up from down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keraskit.boxes import arrays
from keraskit.training.augmenters import imgaug

# Share of a moved box that must still lie in the image; below it the annotation says nothing about what is left.
MIN_VISIBLE = 0.5


@dataclass(frozen=True)
class Augmentation:
    """Random left-right flip, affine map about the centre, contrast, brightness; what leaves the image becomes black.

    Attributes:
        flip: probability of a left-right flip.
        rotation: degrees, up to, either way.
        translation: share of the side, up to, either way, each axis of its own.
        scale: zoom factor 1 +- this.
        brightness: share of the full range, up to, either way.
        contrast: gain 1 +- this about mid-grey.

    Raises:
        ValueError: one of them is out of its range.
    """

    flip: float
    rotation: float
    translation: float
    scale: float
    brightness: float
    contrast: float

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is a probability from 0 to 1, got {self.flip}")
        limits = {"rotation": 180.0, "translation": 1.0, "scale": 1.0, "brightness": 1.0, "contrast": 1.0}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) < limit:
                raise ValueError(f"augmentation {name} must lie in [0, {limit:g}), got {getattr(self, name)}")

    def __call__(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
        """Augment one image; everything random is drawn from `rng`, always the same number of draws.

        Arguments:
            image: uint8 `[H, W]`.
            boxes: float `[N, 4]` x1 y1 x2 y2, pixels of the image.

        Returns:
            uint8 `[H, W]`; float32 `[M, 4]`, the boxes that are kept, clipped to the image; bool `[N]`, which are kept
            (at least half of the box is still inside). A turned box is the bound of the ellipse it held: an opacity does
            not fill its box's corners, and their hull would grow with every turn (Kalra et al. 2021, "Towards Rotation
            Invariance in Object Detection", sec. 3).
        """
        flip = rng.random() < self.flip
        angle, dx, dy, zoom, light, gain = rng.uniform(-1, 1, 6)
        iaa = imgaug().augmenters
        steps = [iaa.Fliplr(1.0)] if flip else []
        if self.rotation or self.translation or self.scale:
            steps.append(
                iaa.Affine(
                    rotate=float(self.rotation * angle),
                    translate_percent={"x": float(self.translation * dx), "y": float(self.translation * dy)},
                    scale=float(1 + self.scale * zoom),
                    order=1,
                    mode="constant",
                    cval=0,
                )
            )
        if self.contrast:
            steps.append(iaa.LinearContrast(float(1 + self.contrast * gain)))
        if self.brightness:
            steps.append(iaa.Add(round(255 * self.brightness * light)))

        height, width = image.shape
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        image = np.ascontiguousarray(image)[..., None]
        points = imgaug().KeypointsOnImage.from_xy_array(_centres_and_axes(boxes), shape=image.shape)
        for step in steps:
            image, points = step(image=image, keypoints=points)
        moved = _ellipse_bounds(points.to_xy_array().reshape(-1, 2))
        clipped = arrays.clip(moved, [0, 0, width, height]).astype(np.float32)
        kept = arrays.area(clipped) >= MIN_VISIBLE * np.maximum(arrays.area(moved), np.finfo(np.float32).tiny)
        return np.ascontiguousarray(image[..., 0]), clipped[kept], kept


def _centres_and_axes(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre, middle of the right side, middle of the lower side of each box: `[N, 4]` -> `[3 N, 2]`."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    right = np.stack([boxes[:, 2], centre[:, 1]], axis=1)
    lower = np.stack([centre[:, 0], boxes[:, 3]], axis=1)
    points: NDArray[np.float32] = np.stack([centre, right, lower], axis=1).reshape(-1, 2)
    return points


def _ellipse_bounds(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse, after an affine map of the points: bounds of the ellipse with these conjugate half axes, `[N, 4]`."""
    centre, right, lower = points.reshape(-1, 3, 2).transpose(1, 0, 2)
    half = np.hypot(right - centre, lower - centre)  # x: sqrt(ux^2 + vx^2), y: sqrt(uy^2 + vy^2)
    bounds: NDArray[np.float32] = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return bounds
