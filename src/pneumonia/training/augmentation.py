"""Augmentation of one study's image, its boxes following, through imgaug; and mosaics of four studies.

Never a vertical flip: the heart and the diaphragm tell up from down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keraskit.boxes import arrays
from keraskit.training.augmenters import imgaug

# Share of a moved box that must still lie in the image; below it the annotation says nothing about what is left.
MIN_VISIBLE = 0.5
CUTOUT_SIDES = (0.1, 0.3)  # of the image's, from and to
CENTRES = (0.3, 0.7)  # of a mosaic, shares of the side, from and to


@dataclass(frozen=True)
class Augmentation:
    """Random left-right flip, affine map about the centre, contrast, brightness, a rectangle cut out; what leaves the image
    becomes black.

    Attributes:
        flip: probability of a left-right flip.
        rotation: degrees, up to, either way.
        translation: share of the side, up to, either way, each axis of its own.
        scale: zoom factor 1 +- this.
        brightness: share of the full range, up to, either way.
        contrast: gain 1 +- this about mid-grey.
        cutout: probability that a rectangle, its sides a tenth to three tenths of the image's, becomes the image's mean grey
            (DeVries and Taylor 2017, "Cutout").

    Raises:
        ValueError: one of them is out of its range.
    """

    flip: float
    rotation: float
    translation: float
    scale: float
    brightness: float
    contrast: float
    cutout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "cutout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1, got {getattr(self, name)}")
        limits = {"rotation": 180.0, "translation": 1.0, "scale": 1.0, "brightness": 1.0, "contrast": 1.0}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) < limit:
                raise ValueError(f"augmentation {name} must lie in [0, {limit:g}), got {getattr(self, name)}")

    def __call__(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
        """Augment one image; everything random is drawn from `rng`, always the same number of draws of one augmentation.

        Arguments:
            image: uint8 `[H, W]`.
            boxes: float `[N, 4]` x1 y1 x2 y2, pixels of the image.

        Returns:
            uint8 `[H, W]`; float32 `[M, 4]`, the boxes that are kept, clipped to the image; bool `[N]`, which are kept
            (at least half of the box is still to be seen). A turned box is the bound of the ellipse it held: an opacity does
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
        image = np.ascontiguousarray(image[..., 0])
        if self.cutout:
            chance, x, y, w, h = rng.random(5)
            if chance < self.cutout:
                image, seen = cut_out(image, clipped, (x, y), (w, h))
                kept &= seen
        return image, clipped[kept], kept


def cut_out(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], place: tuple[float, float], size: tuple[float, float]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The image with a rectangle in its mean grey, and of which boxes at least half is still to be seen, bool `[N]`.

    Arguments:
        image: uint8 `[H, W]`.
        boxes: `[N, 4]` x1 y1 x2 y2, pixels of the image.
        place: x and y, 0 (left, top) to 1 (right, bottom) of the room that the rectangle has in the image.
        size: width and height, 0 to 1 on the way between the `CUTOUT_SIDES`.
    """
    whole = np.array([image.shape[1], image.shape[0]])
    low, high = CUTOUT_SIDES
    sides = np.rint((low + (high - low) * np.array(size)) * whole).astype(int)
    start = np.rint(np.array(place) * (whole - sides)).astype(int)
    (x1, y1), (x2, y2) = start, start + sides
    image = image.copy()
    image[y1:y2, x1:x2] = round(float(image.mean()))
    covered = arrays.area(arrays.clip(boxes, [x1, y1, x2, y2]))
    kept: NDArray[np.bool_] = covered <= (1 - MIN_VISIBLE) * arrays.area(boxes)
    return image, kept


def mosaic(
    images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]], centre: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One image of the quadrants of four, each at its own place and in its own size: lungs stay where lungs are.

    After Bochkovskiy et al. 2020, "YOLOv4", section 3.3, where the four are shrunk instead.

    Arguments:
        images: uint8 `[4, H, W]`: of the quadrants left and right above, left and right below.
        boxes: of each `[N, 4]` x1 y1 x2 y2, pixels of the image.
        centre: x and y of the point where the four meet, pixels.

    Returns:
        uint8 `[H, W]`; float32 `[M, 4]`, the boxes of which at least half lies in their image's quadrant, clipped to it.
    """
    _, height, width = images.shape
    x, y = centre
    image = np.empty_like(images[0])
    kept = []
    quadrants = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
    for own, its, (x1, y1, x2, y2) in zip(images, boxes, quadrants, strict=True):
        image[y1:y2, x1:x2] = own[y1:y2, x1:x2]
        clipped = arrays.clip(its, [x1, y1, x2, y2]).astype(np.float32)
        area = arrays.area(clipped)
        kept.append(clipped[(area > 0) & (area >= MIN_VISIBLE * arrays.area(its))])
    return image, np.concatenate(kept)


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
