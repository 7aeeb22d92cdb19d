"""A Secondary Capture with the boxes burnt in, for viewers that show neither reports nor presentation states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keraskit.boxes.arrays import xywh_to_xyxy
from pneumonia.reading_room.objects.findings import WARNING, Algorithm, Findings, identity

if TYPE_CHECKING:
    from highdicom.sc import SCImage
    from pydicom import Dataset


def secondary_capture(source: Dataset, image: NDArray[np.uint8], findings: Findings, algorithm: Algorithm) -> SCImage:
    """A colour picture of one image.

    Arguments:
        source: header of the image, as `pneumonia.reading_room.objects.source.read_source` gives it.
        image: uint8 `[rows, columns]`, windowed.
        findings: of the image, boxes in its pixels.
        algorithm: that found them.
    """
    from highdicom.sc import SCImage

    result = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=_drawn(image, findings),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=tuple(source.get("PatientOrientation") or ("L", "F")),
        **identity(source, findings, algorithm, "SC"),
    )
    result.BurnedInAnnotation = "YES"
    return result


def _drawn(image: NDArray[np.uint8], findings: Findings) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    from pneumonia.pictures import letter_size, overlay

    corners = xywh_to_xyxy(findings.boxes)
    picture = Image.fromarray(overlay(image, None, np.c_[corners, findings.scores], label="opacity"))
    size = letter_size(image)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    words = f"{findings.words} at score {findings.threshold:.2f}. {WARNING}"
    draw.rectangle(draw.textbbox((size // 2, size // 2), words, font=font), fill=(0, 0, 0))
    draw.text((size // 2, size // 2), words, font=font, fill=(255, 255, 255))
    return np.asarray(picture)
