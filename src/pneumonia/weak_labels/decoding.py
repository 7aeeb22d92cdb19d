"""A PNG or JPEG of others to a grey image of 8 bits, or one word why not."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 64_000_000  # as of a study, docs/data.md
MIN_SIDE = 32
COLOURLESS = 2.0  # grey levels between the channels, on average; a JPEG of a grey image has some


class Refused(ValueError):
    """An image that is not used.

    Attributes:
        reason: one word.
        detail: what was found.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def grey(content: bytes) -> NDArray[np.uint8]:
    """The image as uint8 `[rows, columns]`.

    Of 16 bits the whole range counts (65535 is white, as PNG has it). Three channels must be of one grey, and an alpha
    channel opaque: both are found in NIH's files.

    Raises:
        Refused: `unreadable` (damaged or cut short), `too_large`, `too_small`, `colour`, `transparent`, `depth` (16 bits of
            which the upper 4 are never used: white is not known) or `constant_pixels`.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            columns, rows = image.size
            if columns * rows > MAX_PIXELS:
                raise Refused("too_large", f"{columns} x {rows} pixels; at most {MAX_PIXELS:,} are read")
            if min(columns, rows) < MIN_SIDE:
                raise Refused("too_small", f"{columns} x {rows} pixels; a side has at least {MIN_SIDE}")
            image.load()  # raises where data are missing
            plain = image.convert("RGBA" if "transparency" in image.info else "RGB") if image.mode == "P" else image
            pixels = np.asarray(ImageOps.exif_transpose(plain))
    except (Refused, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes a decoder raise
        raise Refused("unreadable", type(error).__name__) from None
    if pixels.ndim == 3:
        pixels = _one_channel(pixels)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype != np.uint8:
        high = int(pixels.max())
        if int(pixels.min()) < 0 or high > 65535 or 0 < high < 4096:
            raise Refused("depth", f"16 bits, from {int(pixels.min())} to {high}")
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if pixels.min() == pixels.max():
        raise Refused("constant_pixels", f"value {int(pixels.min())}")
    return np.ascontiguousarray(pixels)


def _one_channel(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`[H, W, 2 to 4]`: grey or colour, and alpha."""
    channels = pixels.shape[2]
    if channels in (2, 4):
        if pixels[..., -1].min() < 255:
            raise Refused("transparent", "alpha is not 255 everywhere")
        pixels = pixels[..., :-1]
    if pixels.shape[2] == 3:
        spread = float(np.ptp(pixels, axis=2).mean())
        if spread > COLOURLESS:
            raise Refused("colour", f"channels differ by {spread:.1f} on average")
    return pixels[..., pixels.shape[2] // 2]
