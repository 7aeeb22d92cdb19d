"""Is an image a frontal radiograph of the chest? Its header decides; what the header does not say is not guessed.

`check` wants it said, as whatever is stated of a chest, a lung or a radiograph in a DICOM object must be true of the image.
`check_not_another` lets silence pass, for tables and pictures.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pneumonia.dicom.parsing import parse
from pneumonia.reading_room.objects.source import require_short
from pneumonia.rejection import Reason, StudyError

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
_CAPTURES = (SECONDARY_CAPTURE, f"{SECONDARY_CAPTURE}.2", f"{SECONDARY_CAPTURE}.3")  # and its grey multi-frame kinds
_STANDARD = "1.2.840.10008."  # of the UIDs whose meaning is known
# Words beside a view or a part that leave both what they are: how the person stood, how deep the breath, which machine.
_MANNER = frozenset({
    "ADULT", "BED", "BEDSIDE", "ERECT", "EXP", "EXPIRATION", "EXPIRATORY", "FRONTAL", "GRID", "INSP", "INSPIRATION",
    "INSPIRATORY", "MOBILE", "PORT", "PORTABLE", "SEATED", "SEMI", "SEMIERECT", "SEMIUPRIGHT", "SITTING", "STANDING", "SUPINE",
    "UPRIGHT", "VIEW",
})  # fmt: skip
_DIRECTIONS = {
    "PA": "PA", "P A": "PA", "POSTEROANTERIOR": "PA", "POSTERO ANTERIOR": "PA", "POSTERIOR ANTERIOR": "PA",
    "AP": "AP", "A P": "AP", "ANTEROPOSTERIOR": "AP", "ANTERO POSTERIOR": "AP", "ANTERIOR POSTERIOR": "AP",
}  # fmt: skip
# What says beyond doubt that a picture was made from a radiograph, to be looked at beside it. The first of them is a
# method's name, and says so wherever it stands; the second says so where the picture itself is named.
_BONES = r"(?:BONES?|RIBS?)(?: SHADOWS?)?"
_TAKEN_OUT = (
    rf"\w*{_BONES} ?(?:SUPP|SUPPR|SUPPRESS\w*|SUBTRACT\w*|REMOV\w*|ELIMINAT\w*|FREE)|DE ?BON(?:ED|ING)"
    rf"|(?:SUPPRESS\w*|SUBTRACT\w*|REMOV\w*|ELIMINAT\w*)(?: OF| THE)* {_BONES}"
    r"|(?:KNOCHEN|RIPPEN) ?(?:UNTERDR\w*|SUPPR\w*|SUBTRA\w*)|SUPPRESS?I\w+ (?:OSSEUSE|DES OS|OSSEA|ÓSSEA|DELLE OSSA)"
    r"|SUPRESI[OÓ]N (?:[OÓ]SEA|DE HUESOS?)|SUPRESS[AÃ]O [OÓ]SSEA"
    r"|CLEARREAD|SOFTVIEW|DELTAVIEW|TEMPORAL SUBTRACTION"
)
_PICTURE = (
    r"SOFT ?TISSUES?|BONE (?:IMAGE|ONLY)|DUAL ENERGY|HEAT ?MAPS?|SALIENCY|COMPANION|TOMOSYNTHESIS"
    r"|(?:LINES?|TUBES?|CATHETERS?|PTX|PNEUMOTHORAX) (?:ENHANC\w*|VISUALI[SZ]\w*)"
    r"|(?:CAD|AI) (?:OVERLAYS?|MARKS?|MARKED|MARKERS?|OUTPUT|RESULTS?|FINDINGS?)"
)
_DENIED = r"(?:NO|NON|NOT|WITHOUT|BEFORE)"
_SWITCHED_OFF = r"(?:OFF|NONE|NO|0|DISABLED|FALSE)"
_MADE_WORDS = frozenset(
    {"BONE", "BONES", "TISSUE", "CAD", "SUBTRACTION", "SUBTRACTED", "HEATMAP", "OVERLAY", "TOMOSYNTHESIS"}
)  # of Image Type
# Of image derivations (PS3.16, CID 7203): mask, subtraction, reformatting, rendering, segmentation, projection of a volume.
_DERIVED = frozenset({"113047", "113062", "113072", "113073", "113074", "113075", "113076", "113078", "113079"})
# What header values look like, letters and digits alone, that say a chest or a frontal view in words of devices and languages.
_A_CHEST = re.compile(r"(PORTABLE|PORT)?(CHEST|THORAX|T[OÓ]RAX|TORACE|LUNGS?)(PA|AP|FRONTAL|PORTABLE|PORT)?")
_FRONTAL = re.compile(
    r"(AP|PA|FRONTAL|ANTEROPOSTERIOR|POSTEROANTERIOR|ANTPOST|POSTANT)(ERECT|SUPINE|PORTABLE|UPRIGHT)?"
)
_SILENT = frozenset({"", "UNKNOWN", "UNSPECIFIED", "OTHER", "NONE", "NA", "ANONYMOUS", "ANONYMIZED"})
FRONTAL_VIEWS, CHEST_PARTS = ("AP", "PA"), ("CHEST", "THORAX")
MAX_LENGTH = 16_384  # bytes of an element; a coded sequence has some hundred
_OF_THE_PICTURE = ("ImageType", "SeriesDescription", "DerivationDescription")
_OF_THE_METHOD = (
    "AcquisitionDeviceProcessingDescription",
    "ManufacturerModelName",
    "ProcessingFunction",
    "ProtocolName",
)
_READ = (
    "AnatomicRegionSequence", "BodyPartExamined", "DerivationCodeSequence", "Modality", "PatientOrientation",
    "PresentationIntentType", "SOPClassUID", "SOPInstanceUID", "ViewCodeSequence", "ViewPosition", *_OF_THE_PICTURE,
    *_OF_THE_METHOD,
)  # fmt: skip


class Refusal(StrEnum):
    """Why an image that may be a good one is not read: words of `StudyError.reason` beside `pneumonia.rejection.Reason`."""

    MODALITY = "modality"
    IDENTITY = "identity"
    BODY_PART = "body_part"
    VIEW = "view"
    PROCESSED = "processed"


def check(
    data: bytes,
    *,
    views: Collection[str],
    body_parts: Collection[str],
    secondary_capture: bool,
    processed: bool = False,
    announced: Callable[[str], bool] = lambda uid: True,
) -> None:
    """Refuse a DICOM file unless its header says that it shows a chest from front or back.

    Arguments:
        views: accepted of "AP" and "PA", and "" for an image that names no view.
        body_parts: accepted values of Body Part Examined, in capitals or not, and "" for an image that names neither that nor
            a coded region.
        secondary_capture: whether one is read whose modality is CR or DX.
        processed: whether a picture is read that was made from a radiograph, as one without bones.
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
    known = {plain(each) for each in body_parts}
    named = plain(part) in known or _without_manner(part) in known - {""}
    if not (named if part or not regions else _CHEST & regions):
        raise _refused(Refusal.BODY_PART, f"not said to show one of {', '.join(body_parts) or '(nothing)'}")
    if (_direction(view) if view else _coded_view(header)) not in views:
        raise _refused(Refusal.VIEW, f"not said to be one of {', '.join(views) or '(nothing)'}")
    if not processed:
        _refuse_processed(header)


def check_said(data: bytes) -> None:
    """Refuse a DICOM file unless its header says that it is a radiograph of the chest from front or back, as `check` does."""
    check(data, views=FRONTAL_VIEWS, body_parts=CHEST_PARTS, secondary_capture=True)


def check_not_another(data: bytes) -> None:
    """Refuse a DICOM file whose header says that it is something else than a radiograph of the chest from front or back.

    A header that says nothing is no reason; words that are not known are one.

    Raises:
        StudyError: with a `Refusal` as its reason and a text that repeats nothing of the file; or the file cannot be parsed.
    """
    parse(data, pixels=False)  # within bounds
    header = _header(data)
    kind, modality = str(header.get("SOPClassUID", "") or "").strip(" \0"), _text(header, "Modality")
    if kind.startswith(_STANDARD) and kind not in (*IMAGES, *_CAPTURES):
        raise _refused(Refusal.MODALITY, "said to be neither a CR nor a DX image for presentation")
    if modality not in ("CR", "DX", "RG", ""):
        raise _refused(Refusal.MODALITY, "said to be of another modality than CR, DX or RG")
    part, view = _plain(header, "BodyPartExamined"), _plain(header, "ViewPosition")
    regions = _codes(header, "AnatomicRegionSequence")
    chest = _A_CHEST.fullmatch(part) or _without_manner(_text(header, "BodyPartExamined")) in CHEST_PARTS
    if not (part in _SILENT or chest) or (part in _SILENT and regions and not _CHEST & regions):
        raise _refused(Refusal.BODY_PART, "said to show something else than a chest")
    if view in _SILENT:
        view = _coded_view(header) or ("another" if _text(header, "PatientOrientation")[:1] in ("A", "P") else "")
    if view and not (_FRONTAL.fullmatch(view) or _direction(_text(header, "ViewPosition")) in FRONTAL_VIEWS):
        raise _refused(Refusal.VIEW, "said to be another view than AP or PA")
    _refuse_processed(header)


def doubt(data: bytes) -> str:
    """What an image's header does not say, or says otherwise, of a chest from front or back; empty where there is no doubt."""
    try:
        check_said(data)
    except StudyError as error:
        return str(error)
    except Exception as error:  # nobody foresaw it; its text may quote the file
        return f"{Reason.UNREADABLE}: the header ({type(error).__name__})"
    return ""


def _coded_view(header: Any) -> str:
    coded = {_VIEWS.get(code, "another") for code in _codes(header, "ViewCodeSequence")}
    return coded.pop() if len(coded) == 1 else "another" if coded else ""


def plain(text: str) -> str:
    """The letters and digits of a header's word, in capitals."""
    return re.sub(r"[\W_]", "", text).upper()


def _plain(header: Any, name: str) -> str:
    return plain(_text(header, name))


def _words(text: str) -> list[str]:
    return re.sub(r"[\W_]+", " ", text).split()


def _without_manner(part: str) -> str:
    """A body part, plain, without the words of a frontal view, which leave it what it is."""
    return "".join(word for word in _words(part) if word not in _MANNER | {"PA", "AP"})


def _direction(view: str) -> str:
    """AP or PA where a text says that, and besides only what leaves it so, as "PA ERECT"; else "another"."""
    said = " ".join(word for word in _words(view) if word not in _MANNER | set(CHEST_PARTS))
    return _DIRECTIONS.get(said, "another")


def _says(words: str, header: Any, name: str) -> bool:
    """Whether an element says one of these, and does not deny it."""
    text = " ".join(_words(_text(header, name)))
    denied = rf"\b{_DENIED} (?:{words})\b|\b(?:{words}) {_SWITCHED_OFF}\b"
    return re.search(rf"\b(?:{words})\b", re.sub(denied, "", text)) is not None


def _refuse_processed(header: Any) -> None:
    if _text(header, "PresentationIntentType") == "FOR PROCESSING":
        raise _refused(Refusal.PROCESSED, "said to be for processing, not for presentation")
    kind = _words(_text(header, "ImageType"))
    if (
        not _MADE_WORDS.isdisjoint(kind)
        or any(_says(rf"{_TAKEN_OUT}|{_PICTURE}", header, name) for name in _OF_THE_PICTURE)
        or any(_says(_TAKEN_OUT, header, name) for name in _OF_THE_METHOD)
    ):
        raise _refused(Refusal.PROCESSED, "said to be a picture made from a radiograph (bones taken out, marks, ...)")
    if _DERIVED & _codes(header, "DerivationCodeSequence"):
        raise _refused(Refusal.PROCESSED, "said to be computed from other images")


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
    if value is None:
        return ""
    several = not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")
    values = [str(each).strip(" \0") for each in value] if several else [str(value)]
    return ("\\".join(values) if len(set(values)) > 1 else "".join(values[:1])).strip(" \0").upper()


def _codes(header: Any, name: str) -> set[str]:
    try:
        return {str(item.CodeValue).strip(" \0") for item in header.get(name) or ()}
    except Exception:
        return {"unreadable"}
