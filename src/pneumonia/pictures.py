"""Pictures: boxes and activation maps on radiographs (Pillow, OpenCV).

Images come in as uint8 `[H, W]` and go out as uint8 RGB `[H, W, 3]`; boxes are `(x1, y1, x2, y2)` in pixels of that
image. Truth is green, a detection red. PNG bytes depend on the input only: they carry no date and no software name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from PIL import ImageDraw

TRUTH = (64, 220, 110)
DETECTION = (255, 70, 70)
LABEL = "pneumonia"
Image = NDArray[np.uint8]


def overlay(
    image: Image, truth: ArrayLike | None, detections: ArrayLike | None, *, label: str = LABEL, titles: bool = True
) -> Image:
    """Boxes on a radiograph, in the size it came in: uint8 RGB `[H, W, 3]`.

    Lines and letters grow with the image. The best detection is drawn last, on top.

    Arguments:
        image: uint8 `[H, W]`.
        truth: `[n, 4]` x1, y1, x2, y2, or None.
        detections: `[m, 5]`, the same and the score, or None.
        label: word before the score.
        titles: False leaves words and scores out.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont

    _check(image)
    canvas = Pil.fromarray(np.repeat(image[..., None], 3, axis=-1))
    draw = ImageDraw.Draw(canvas)
    line = max(1, round(max(image.shape) / 340))
    font = ImageFont.load_default(letter_size(image))
    for box in _rows(truth, 4, "truth"):
        draw.rectangle(_outline(box, image.shape), outline=TRUTH, width=line)
    found = _rows(detections, 5, "detections")
    for *box, score in found[np.argsort(found[:, 4], kind="stable")].tolist():
        outline = _outline(box, image.shape)
        draw.rectangle(outline, outline=DETECTION, width=line)
        if titles:
            _title(draw, f"{label} {score:.2f}", outline, image.shape, font, line)
    return np.asarray(canvas)


def letter_size(image: Image) -> int:
    """Of words on a radiograph, in pixels: it grows with the image."""
    return max(9, round(max(image.shape) / 42))


def cam_overlay(image: Image, cam: ArrayLike, *, strength: float = 0.45) -> Image:
    """A class activation map over its radiograph: uint8 RGB `[H, W, 3]`.

    Arguments:
        cam: `[h, w]`, any size, in the frame of `image`; it is stretched so that its largest value is the brightest.
            Where the map is at or below zero the radiograph shows unchanged.
    """
    _check(image)
    heat = np.clip(np.asarray(cam, np.float32), 0, None)
    if heat.ndim != 2 or not heat.size:
        raise ValueError(f"a class activation map must be [h, w], got {list(heat.shape)}")
    heat = cv2.resize(heat, image.shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0)
    heat /= max(float(heat.max()), 1e-6)
    colour = cv2.applyColorMap((heat * 255).round().astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = strength * np.sqrt(heat)[..., None]
    mixed = image[..., None] * (1 - share) + colour * share
    return mixed.round().clip(0, 255).astype(np.uint8)


def png(image: Image, compression: int = 9) -> bytes:
    """PNG of uint8 `[H, W]` or RGB `[H, W, 3]`; `compression` is 0 to 9: at 9 a radiograph takes ten times as long as at 1."""
    return _encode(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, compression])


def jpeg(image: Image, quality: int = 80) -> bytes:
    """JPEG of uint8 `[H, W]` or RGB `[H, W, 3]`: a tenth of a PNG's bytes for a radiograph."""
    return _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(image: Image, kind: str, options: list[int]) -> bytes:
    ok, data = cv2.imencode(kind, image if image.ndim == 2 else image[..., ::-1], options)
    if not ok:
        raise ValueError(f"cannot encode an image of shape {list(image.shape)} as {kind}")
    return data.tobytes()


def _check(image: Image) -> None:
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"image must be uint8 [H, W], got {image.dtype} {list(image.shape)}")


def _rows(values: ArrayLike | None, columns: int, name: str) -> NDArray[np.float64]:
    array = np.zeros((0, columns)) if values is None else np.asarray(values, np.float64)
    if array.size == 0:
        return np.zeros((0, columns))
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} must be [n, {columns}], got {list(array.shape)}")
    return array


def _outline(box: Any, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Pixel outline of a box, inside the image and never inside out."""
    x1, y1, x2, y2 = (round(float(value)) for value in box[:4])
    left, top = (int(np.clip(v, 0, limit - 1)) for v, limit in ((x1, shape[1]), (y1, shape[0])))
    right, bottom = int(np.clip(x2 - 1, left, shape[1] - 1)), int(np.clip(y2 - 1, top, shape[0] - 1))
    return left, top, right, bottom


def _title(
    draw: ImageDraw.ImageDraw,
    text: str,
    outline: tuple[int, int, int, int],
    shape: tuple[int, ...],
    font: Any,
    line: int,
) -> None:
    """Text on a red plate above its box, or inside it where there is no room above; never outside the image."""
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    wide, high = int(width) + 2 * line, int(height) + 2 * line
    left = int(np.clip(outline[0], 0, max(shape[1] - wide, 0)))
    top = outline[1] - high if outline[1] >= high else outline[1]
    top = int(np.clip(top, 0, max(shape[0] - high, 0)))
    draw.rectangle((left, top, left + wide - 1, top + high - 1), fill=DETECTION)
    draw.text((left + line, top + line // 2), text, fill=(255, 255, 255), font=font)
