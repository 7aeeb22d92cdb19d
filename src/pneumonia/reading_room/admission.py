"""Is an image a frontal radiograph of the chest? Its header decides; what the header does not say is not guessed."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pneumonia.dicom.parsing import parse
from pneumonia.reading_room.objects.source import require_short
from pneumonia.rejection import StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

IMAGES = (  # SOP classes (PS3.4, B.5): CR; DX for presentation. DX for processing is no picture yet.
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # what the challenge's files are, and some digitized films
# Coded views and regions (PS3.16, CID 4010 and 4031), by SNOMED CT and by the older SRT codes that devices still write.
_VIEWS = {"272479007": "PA", "R-10214": "PA", "R-40888": "PA", "399348003": "AP", "R-10206": "AP"}
_CHEST = frozenset({"51185008", "816094009", "T-D3000"})
MAX_LENGTH = 16_384  # bytes of an element; a coded sequence has some hundred
_READ = (
    "AnatomicRegionSequence", "BodyPartExamined", "Modality", "SOPClassUID", "SOPInstanceUID", "ViewCodeSequence",
    "ViewPosition",
)  # fmt: skip


class Refusal(StrEnum):
    """Why an image that may be a good one is not read: words of `StudyError.reason` beside `pneumonia.rejection.Reason`."""

    MODALITY = "modality"
    IDENTITY = "identity"
    BODY_PART = "body_part"
    VIEW = "view"


def check(
    data: bytes,
    *,
    views: Collection[str],
    body_parts: Collection[str],
    secondary_capture: bool,
    announced: Callable[[str], bool] = lambda uid: True,
) -> None:
    """Refuse a DICOM file unless its header says that it shows a chest from front or back.

    Arguments:
        views: accepted of "AP" and "PA", and "" for an image that names no view.
        body_parts: accepted values of Body Part Examined, and "" for an image that names neither that nor a coded region.
        secondary_capture: whether one is read whose modality is CR or DX.
        announced: whether a SOP Instance UID is the one that the file was sent under.

    Raises:
        StudyError: with a `Refusal` as its reason and a text that repeats nothing of the file; or the file cannot be parsed.
    """
    parse(data, pixels=False)  # within bounds
    header = _header(data)
    kind, modality = str(header.get("SOPClassUID", "")), _text(header, "Modality")
    captured = secondary_capture and kind == SECONDARY_CAPTURE and modality in ("CR", "DX")
    if kind not in IMAGES and not captured:
        raise _refused(Refusal.MODALITY, "neither a CR nor a DX image for presentation")
    if not announced(str(header.get("SOPInstanceUID", ""))):
        raise _refused(Refusal.IDENTITY, "the image's UID is not the one it was sent under")
    part, view = _text(header, "BodyPartExamined"), _text(header, "ViewPosition")
    regions = _codes(header, "AnatomicRegionSequence")
    if not (part in body_parts if part or not regions else _CHEST & regions):
        raise _refused(Refusal.BODY_PART, f"not said to show one of {', '.join(body_parts) or '(nothing)'}")
    if not view:
        coded = {_VIEWS.get(code, "another") for code in _codes(header, "ViewCodeSequence")}
        view = coded.pop() if len(coded) == 1 else "another" if coded else ""
    if view not in views:
        raise _refused(Refusal.VIEW, f"not said to be one of {', '.join(views) or '(nothing)'}")


def _refused(reason: Refusal, detail: str) -> StudyError:
    return StudyError(reason, detail, discreet=f"{reason}: {detail}")


def _header(data: bytes) -> Dataset:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=list(_READ), force=True)
    require_short(header, MAX_LENGTH)
    return header


def _text(header: Any, name: str) -> str:
    try:
        value = header.get(name)
    except Exception:  # an element nobody can read says nothing
        return ""
    return "" if value is None else str(value).strip(" \0").upper()


def _codes(header: Any, name: str) -> set[str]:
    try:
        return {str(item.CodeValue).strip(" \0") for item in header.get(name) or ()}
    except Exception:
        return {"unreadable"}
