"""Objects that say of an image that it was not analysed, and why: of what it shows they say nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia.reading_room.objects.capture import paragraph
from pneumonia.reading_room.objects.findings import WARNING, Algorithm, identity
from pneumonia.reading_room.objects.structured_report import observer

if TYPE_CHECKING:
    from highdicom.sr import ComprehensiveSR
    from pydicom import Dataset

SIDE = 512  # pixels of the capture
UNSAID = "This says nothing of what the image shows."


def words(reason: str) -> str:
    """What a person reads, in ASCII."""
    plain = re.sub(r"[^ -~]+", "?", reason).rstrip(".")
    return f"Not analysed: {plain}. {UNSAID}"


def report(source: Dataset, reason: str, algorithm: Algorithm) -> ComprehensiveSR:
    """A Comprehensive SR: Summary of Detections (111064, DCM) is Not Attempted (111225, DCM), with the reason as a comment.

    Arguments:
        source: header of the image, as `pneumonia.reading_room.objects.source.read_source` gives it.
        reason: in words that name nobody.
        algorithm: that did not analyse it.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes

    contains = sr.RelationshipTypeValues.CONTAINS
    root = sr.ContainerContentItem(name=codes.DCM.Summary, is_content_continuous=False)
    items: Any = [
        *sr.LanguageOfContentItemAndDescendants(sr.CodedConcept("en-US", "RFC5646", "English (United States)")),
        *sr.ObservationContext(observer_device_context=observer(algorithm)),
        sr.CodeContentItem(codes.DCM.SummaryOfDetections, codes.DCM.NotAttempted, contains),
        sr.TextContentItem(codes.DCM.Comment, words(reason), contains),
        sr.TextContentItem(codes.DCM.Comment, WARNING, contains),
        sr.ImageContentItem(
            codes.DCM.SourceImage, source.SOPClassUID, source.SOPInstanceUID, relationship_type=contains
        ),
    ]
    root.ContentSequence = items
    return sr.ComprehensiveSR(
        evidence=[source], content=root, **identity(source, None, algorithm, "SR"), is_complete=True, is_final=False
    )


def picture(reason: str) -> NDArray[np.uint8]:
    """The words alone, in white on black: RGB `[SIDE, SIDE, 3]`."""
    return paragraph(f"{words(reason)} {WARNING}", SIDE, SIDE // 24, least=SIDE)
