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

# Of the image, and true of its copy in the same pixels (PS3.3, C.8.6.2, C.7.6.1, C.7.6.3).
_COPIED = (
    "ImagerPixelSpacing", "LossyImageCompression", "LossyImageCompressionMethod", "LossyImageCompressionRatio",
    "PixelAspectRatio", "PixelSpacing", "PixelSpacingCalibrationDescription", "PixelSpacingCalibrationType",
)  # fmt: skip


def secondary_capture(source: Dataset, image: NDArray[np.uint8], findings: Findings, algorithm: Algorithm) -> SCImage:
    """A colour picture of one image: below it, on rows of its own, what was found.

    Arguments:
        source: header of the image, as `pneumonia.reading_room.objects.source.read_source` gives it.
        image: uint8 `[rows, columns]`, windowed.
        findings: of the image, boxes in its pixels.
        algorithm: that found them.
    """
    result = captured(source, drawn(image, findings), findings, algorithm)
    for name in _COPIED:
        if name in source:
            result[name] = source[name]
    result.PatientOrientation = source.get("PatientOrientation") or []  # type 2C: empty where the image does not say
    return result


def captured(source: Dataset, picture: NDArray[np.uint8], findings: Findings | None, algorithm: Algorithm) -> SCImage:
    """A picture of words or boxes, RGB `[rows, columns, 3]`, as an object of the image's study that refers to the image."""
    from highdicom.sc import SCImage
    from pydicom import Dataset
    from pydicom.sr.codedict import codes

    result = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # it wants one of few
        **identity(source, findings, algorithm, "SC"),
    )
    result.PatientOrientation = []
    result.BurnedInAnnotation = "YES"
    purpose, reference = Dataset(), Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, "DCM", code.meaning
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [purpose]
    result.SourceImageSequence = [reference]
    return result


def drawn(image: NDArray[np.uint8], findings: Findings) -> NDArray[np.uint8]:
    """The image with its boxes, and below it the words: RGB `[rows + more, columns, 3]`."""
    from pneumonia.pictures import letter_size, overlay

    corners = xywh_to_xyxy(findings.boxes)
    picture = overlay(image, None, np.c_[corners, findings.scores], label="opacity")
    return np.concatenate([picture, paragraph(f"{findings.statement}. {WARNING}", image.shape[1], letter_size(image))])


def paragraph(text: str, width: int, size: int, *, least: int = 0) -> NDArray[np.uint8]:
    """White words on black, broken into lines of the width: RGB `[rows, width, 3]`.

    Arguments:
        width: in pixels; where a word does not fit, its end is cut off.
        size: of the letters, in pixels.
        least: rows.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width - size:
            lines.append(word)
        else:
            lines[-1] = longer
    step = round(size * 1.4)
    picture = Image.new("RGB", (width, max(least, step * len(lines) + size)))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((size // 2, size // 2 + number * step), line, font=font, fill=(255, 255, 255))
    return np.asarray(picture)
