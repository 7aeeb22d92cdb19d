"""The image that a report is about (PS3.16, TID 1600), described by what its header says and nothing else."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from highdicom.sr import ContentItem
    from pydicom import Dataset

_DIRECTIONS = re.compile(r"[APRLHF]{1,3}")  # of a biped (PS3.3, C.7.6.1.1.1)


def image_library(source: Dataset) -> ContentItem:
    """An Image Library with the image as its only entry.

    A library without an entry where the header's modality is none of DICOM's: an entry must name one (TID 1602).

    Arguments:
        source: header of the image, as `pneumonia.reading_room.objects.source.read_source` gives it.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes as standard

    from pneumonia.reading_room.objects import codes

    contains = sr.RelationshipTypeValues.CONTAINS
    library = sr.ContainerContentItem(standard.DCM.ImageLibrary, relationship_type=contains)
    modality = codes.MODALITIES.get(str(source.get("Modality", "")))
    if modality is None:
        return library
    entry = sr.ImageContentItem(
        codes.SOURCE, str(source.SOPClassUID), str(source.SOPInstanceUID), relationship_type=contains
    )
    entry.ContentSequence = sr.ContentSequence(_descriptors(source, modality))
    group = sr.ContainerContentItem(standard.DCM.ImageLibraryGroup, relationship_type=contains)
    group.ContentSequence = sr.ContentSequence([entry])
    library.ContentSequence = sr.ContentSequence([group])
    return library


def _descriptors(source: Dataset, modality: Any) -> list[ContentItem]:
    """TID 1602 and, of it, 1603."""
    from highdicom import sr
    from pydicom.sr.codedict import codes as standard

    from pneumonia.reading_room.objects import codes

    context = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
    names = standard.DCM

    def code(name: Any, value: Any) -> ContentItem:
        return sr.CodeContentItem(name, value, relationship_type=context)

    def text(name: Any, value: str) -> ContentItem:
        return sr.TextContentItem(name, value, relationship_type=context)

    def number(name: Any, value: float, unit: Any) -> ContentItem:
        return sr.NumContentItem(name, value, unit, relationship_type=context)

    said = [code(names.Modality, modality)]
    if str(source.get("BodyPartExamined", "")) in codes.CHEST_PARTS:
        said.append(code(names.TargetRegion, codes.CHEST))
    said.append(number(names.PixelDataRows, int(source.Rows), codes.PIXELS))
    said.append(number(names.PixelDataColumns, int(source.Columns), codes.PIXELS))
    view = codes.VIEWS.get(str(source.get("ViewPosition", "")))
    if view is not None:
        said.append(code(names.ImageView, view))
    directions = _pair(source, "PatientOrientation")
    if directions and all(_DIRECTIONS.fullmatch(direction) for direction in directions):
        said.append(text(names.PatientOrientationRow, directions[0]))
        said.append(text(names.PatientOrientationColumn, directions[1]))
    spacing = _spacing(source)
    if spacing:
        said.append(number(names.HorizontalPixelSpacing, spacing[1], standard.UCUM.Millimeter))
        said.append(number(names.VerticalPixelSpacing, spacing[0], standard.UCUM.Millimeter))
    return said


def _spacing(source: Dataset) -> list[float]:
    """Of rows, then of columns, in mm; none where that is no size."""
    try:
        spacing = [float(value) for value in _pair(source, "ImagerPixelSpacing")]
    except ValueError:
        return []
    return spacing if all(0 < value < math.inf for value in spacing) else []


def _pair(source: Dataset, name: str) -> list[str]:
    """The two values of an element; none where it has another number of them."""
    from pydicom.multival import MultiValue

    try:
        value = source.get(name)
    except Exception:  # an element nobody can read says nothing
        return []
    return [str(each) for each in value] if isinstance(value, MultiValue) and len(value) == 2 else []
