"""Why a study is left out: the fixed list of reasons, and the error that carries one."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The `reason` column of rejected.csv, in the order in which they are looked for: the first that fits counts.

    Those of one study's file come first, then those of its labels.
    """

    UNSAFE_NAME = "unsafe_name"  # the archive member's name could lead outside a folder
    DUPLICATE_ID = "duplicate_id"  # two members claim the same study
    UNREADABLE = "unreadable"  # truncated, damaged, or compressed in a way that cannot be decoded
    WRONG_MODALITY = "wrong_modality"
    NO_PIXELS = "no_pixels"
    COLOUR = "colour"
    MULTIFRAME = "multiframe"
    CONSTANT_PIXELS = "constant_pixels"
    LABEL_WITHOUT_IMAGE = "label_without_image"
    IMAGE_WITHOUT_LABEL = "image_without_label"
    LABEL_WITHOUT_CLASS = "label_without_class"
    LABELS_DISAGREE = "labels_disagree"  # positive in one label row and negative in another
    CLASSES_DISAGREE = "classes_disagree"  # of two classes
    POSITIVE_WITHOUT_BOXES = "positive_without_boxes"
    NEGATIVE_WITH_BOXES = "negative_with_boxes"
    CLASS_DISAGREES = "class_disagrees"  # opacity but negative, or the reverse
    BOX_INVALID = "box_invalid"  # a coordinate is empty or not finite, or a side not above 0
    BOX_OUTSIDE_IMAGE = "box_outside_image"
    BOX_TOO_SMALL = "box_too_small"  # after clipping to the image


class StudyError(ValueError):
    """A study that cannot be used.

    Attributes:
        reason: one of the fixed list, or of the few words that a caller adds (`pneumonia.reading_room.admission`).
        detail: what was found and wanted; it may quote the file.
        discreet: the same for a log, where nothing of a patient may stand; the reason alone unless another text is given.
    """

    def __init__(self, reason: str, detail: str, discreet: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.discreet = discreet or str(reason)

    def __reduce__(self) -> tuple[type[StudyError], tuple[str, str, str]]:
        return StudyError, (self.reason, self.detail, self.discreet)  # so that it crosses from a worker process whole
