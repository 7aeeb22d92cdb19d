"""Is an image a frontal radiograph of the chest? Its header decides; what the header does not say is not guessed."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pneumonia.dicom.parsing import parse
from pneumonia.reading_room.node.queue import ticket
from pneumonia.reading_room.objects.source import require_short

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


class NotReadError(Exception):
    """An image is not read. reason: one of a few words, for counting; the text repeats nothing of the file."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def check(
    data: bytes, name: str, *, views: Collection[str], body_parts: Collection[str], secondary_capture: bool
) -> None:
    """Raise NotReadError unless a DICOM file is the image `name` (a ticket) and shows a chest from front or back.

    views: accepted of "AP" and "PA", and "" for an image that names no view. body_parts: accepted values of Body Part
    Examined, and "" for an image that names neither that nor a coded region. secondary_capture: whether one is read whose
    modality is CR or DX.

    Raises StudyError for a file that cannot be parsed.
    """
    parse(data, pixels=False)  # within bounds
    header = _header(data)
    kind, modality = str(header.get("SOPClassUID", "")), _text(header, "Modality")
    captured = secondary_capture and kind == SECONDARY_CAPTURE and modality in ("CR", "DX")
    if kind not in IMAGES and not captured:
        raise NotReadError("modality", "neither a CR nor a DX image for presentation")
    if ticket(str(header.get("SOPInstanceUID", ""))) != name:
        raise NotReadError("identity", "the image's UID is not the one it was sent under")
    part, view = _text(header, "BodyPartExamined"), _text(header, "ViewPosition")
    regions = _codes(header, "AnatomicRegionSequence")
    if not (part in body_parts if part or not regions else _CHEST & regions):
        raise NotReadError("body_part", f"not said to show one of {', '.join(body_parts) or '(nothing)'}")
    if not view:
        coded = {_VIEWS.get(code, "another") for code in _codes(header, "ViewCodeSequence")}
        view = coded.pop() if len(coded) == 1 else "another" if coded else ""
    if view not in views:
        raise NotReadError("view", f"not said to be one of {', '.join(views) or '(nothing)'}")


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
