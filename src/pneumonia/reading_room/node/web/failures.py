"""Why an instance of a store is not taken (PS3.18, table I.2-2), as codes, as words for a person, and for the Conformance
Statement."""

from __future__ import annotations

NOT_UNDERSTOOD, OTHER_STUDY, SOP_CLASS, TRANSFER_SYNTAX, FAILED, BUSY = 0xC000, 0xA900, 0x0122, 0xC122, 0x0110, 0xA700
TABLE = (  # code, its name, when it is said
    (BUSY, "Refused out of resources", "the queue or the disk is full: come again"),
    (FAILED, "Processing failure", "the node failed"),
    (OTHER_STUDY, "Data set does not match", "it is of another study than the request names"),
    (NOT_UNDERSTOOD, "Cannot understand", "it is no DICOM file, names no SOP class or instance, or is too large"),
    (SOP_CLASS, "Referenced SOP class not supported", "it is no image that the node takes"),
    (TRANSFER_SYNTAX, "Referenced transfer syntax not supported", "the node cannot read its compression"),
)
WORDS = {
    NOT_UNDERSTOOD: "It cannot be read as a DICOM file.",
    SOP_CLASS: "It is no kind of image that this node takes.",
    TRANSFER_SYNTAX: "It is compressed in a way that this node cannot read.",
    FAILED: "It could not be stored.",
    BUSY: "The queue is full; try again in a minute.",
}
