"""The DICOM Conformance Statement of a node, in the form of PS3.2, from the constants and settings that it negotiates by.

docs/dicom-conformance.md is that of docs/serve.yaml: pneumonia serve docs/serve.yaml --conformance > docs/dicom-conformance.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydicom.uid import UID
from pynetdicom import DEFAULT_TRANSFER_SYNTAXES, PYNETDICOM_IMPLEMENTATION_UID
from pynetdicom._globals import DEFAULT_MAX_LENGTH

from pneumonia.dicom.decoders import TRANSFER_SYNTAXES
from pneumonia.reading_room.admission import IMAGES, SECONDARY_CAPTURE
from pneumonia.reading_room.node.commitment import COMMITMENT, INSTANCE, REQUEST, SUCCESS, UNKNOWN
from pneumonia.reading_room.node.commitment import SECONDS as COMMITMENT_SECONDS
from pneumonia.reading_room.node.courier import KINDS, SYNTAXES
from pneumonia.reading_room.node.listener import OUT_OF_RESOURCES, STORED, VERIFICATION
from pneumonia.reading_room.node.settings import Settings
from pneumonia.reading_room.node.web import failures

_KINDS = {"sr": "report", "pr": "presentation state", "sc": "picture with the boxes burnt in (setting `capture`)"}


def images(settings: Settings) -> tuple[str, ...]:
    """SOP classes that a node takes."""
    return (*IMAGES, SECONDARY_CAPTURE) if settings.accept.secondary_capture else IMAGES


def kinds(settings: Settings) -> dict[str, str]:
    """SOP classes that a node may send, by kind."""
    pictures = settings.capture or settings.answers.not_analysed in ("capture", "both")
    return {kind: uid for kind, uid in KINDS.items() if kind != "sc" or pictures}


def statement(settings: Settings) -> str:
    """Markdown; the same settings give the same text."""
    return "\n\n".join(
        [
            "# DICOM Conformance Statement",
            "Written by `pneumonia serve FILE --conformance` from the code and a settings file (here docs/serve.yaml); do not edit it.\n"
            "Its sections are those of PS3.2. **Research use only. Not for diagnostic use.**",
            *_overview(settings),
            *_introduction(),
            *_networking(settings),
            *_rest(settings),
        ]
    ) + "\n"  # fmt: skip


def _overview(s: Settings) -> list[str]:
    rows = [[_name(VERIFICATION), VERIFICATION, "Yes", "Yes"]]
    rows += [[_name(uid), uid, "No", "Yes"] for uid in images(s) if uid not in kinds(s).values()]
    rows += [[_name(uid), uid, "Yes", "Yes" if uid in images(s) else "No"] for uid in kinds(s).values()]
    rows += [[_name(COMMITMENT), COMMITMENT, "Yes (with `commitment`)", "No"]]
    web = [
        ["Studies Web Service, Store Transaction (STOW-RS)", "Yes", "Yes (setting `web`)"],
        ["Studies Web Service, Search Transaction (QIDO-RS)", "Yes (with `commitment`)", "No"],
        ["Studies Web Service, Retrieve Transaction (WADO-RS)", "No", "No"],
    ]
    return [
        "## 1 Conformance statement overview",
        "The node takes chest radiographs from modalities, archives or routers, looks for opacities that may be pneumonia with\n"
        "trained models, and sends what it finds as DICOM objects into the study of each image.",
        _table(["Network service: SOP class", "UID", "User of service (SCU)", "Provider of service (SCP)"], rows),
        _table(["Web service", "User agent", "Origin server"], web),
        "No media interchange. No query, retrieve, worklist, MPPS or printing.",
    ]


def _introduction() -> list[str]:
    return [
        "## 2 Introduction",
        "### 2.1 Audience and remarks",
        "For those who connect the node to other systems. That two statements agree does not show that two systems work together:\n"
        "try it with your own (`pneumonia serve FILE --check`). Terms and abbreviations are those of PS3.1 to PS3.18; AE is an\n"
        "application entity, SCU and SCP user and provider of a service class, STOW, QIDO and WADO the transactions of DICOMweb.",
    ]


def _networking(s: Settings) -> list[str]:
    return [
        "## 3 Networking",
        "### 3.1 Implementation model",
        "One application entity, in one process. *Listener*: takes associations; each image that it is sent lies on disk before\n"
        "the sender is told so. *Reader*: takes images from that queue, has the models look, and leaves results. *Couriers*: one for\n"
        "each receiver of results, which opens an association when there is something to send, and tries again until it is taken\n"
        "or given up. The activities are independent: images are taken while models are loaded, and while receivers are away.",
        "### 3.2 AE specification",
        "#### 3.2.1 SOP classes",
        "See the overview. Nothing of a stored image is changed; extended negotiation of the Storage service is not used, and the\n"
        "level of support is that of a node which keeps an image only until it is answered.",
        "#### 3.2.2 Association policies",
        _table(
            ["Policy", "Value"],
            [
                ["Application context name", "1.2.840.10008.3.1.1.1"],
                ["Associations accepted at once (`limits`)", f"{s.limits.associations}"],
                ["of one host", f"{s.limits.associations_per_host}"],
                ["Associations opened at once, to one receiver", "1"],
                ["Asynchronous operations window", "not negotiated: one operation at a time"],
                ["Implementation class UID", f"{PYNETDICOM_IMPLEMENTATION_UID} (pynetdicom's)"],
                ["Implementation version name", "`PYNETDICOM_` and its version"],
                ["Called AE title", f"must be the node's: `{s.title}`"],
                ["Calling AE title", "must be one of `peers`; others are rejected (source user, calling AE title not recognized)"],
                ["User identity, SOP class extended and common extended negotiation", "none; what a peer offers is not answered"],
                ["SCP/SCU role selection", "none, but for storage commitment: default roles"],
            ],
        ),
        "#### 3.2.3 Associations that are opened: results",
        "An association is opened as soon as a result is due, and released when what was due is sent. Proposed are the kinds of\n"
        "object that the receiver is to have (`peers`, `objects`):",
        _table(
            ["Abstract syntax", "UID", "What it is", "Transfer syntaxes", "Role", "Extended negotiation"],
            [
                [_name(uid), uid, _KINDS[kind], _names(map(str, SYNTAXES)), "SCU", "None"]
                for kind, uid in kinds(s).items()
            ],
        ),
        _table(
            ["Status of a C-STORE response", "What the node does"],
            [
                ["0000 Success; 0111 Duplicate SOP instance; Bxxx Warning", "the result is delivered, and leaves the queue"],
                ["0122 SOP class not supported; presentation context not accepted", "the result is struck off, and this is logged once"],
                ["A9xx Data set does not match SOP class", "the result is given up"],
                ["any other; no answer; no association",
                 f"tried again after {s.delivery.first_pause:g} s, doubled up to {s.delivery.longest_pause:g} s; "
                 f"given up {s.delivery.give_up_hours:g} h after the first vain try"],
            ],
        ),
        "A result is the same object, with the same SOP Instance UID, at every try.",
        *_commitment(s),
        "`pneumonia serve FILE --check` opens one more association to each receiver, for Verification (C-ECHO).",
        "#### 3.2.4 Associations that are accepted: images",
        _table(
            ["Abstract syntax", "UID", "Transfer syntaxes", "Role", "Extended negotiation"],
            [
                [_name(VERIFICATION), VERIFICATION, _names(DEFAULT_TRANSFER_SYNTAXES), "SCP", "None"],
                *([_name(uid), uid, "those below", "SCP", "None"] for uid in images(s)),
            ],
        ),
        _table(["Transfer syntax of an image", "UID"], [[_name(uid), uid] for uid in sorted(TRANSFER_SYNTAXES)]),
        "Of the transfer syntaxes that a presentation context proposes, the one that comes first in this table is accepted.",
        _table(
            ["Status", "Code", "When"],
            [
                ["Success", f"{STORED:04X}", "the image is on disk and will be read, or is known already"],
                ["Refused: out of resources", f"{OUT_OF_RESOURCES:04X}",
                 f"{s.limits.waiting:,} images wait, or less than {s.limits.free_disk_mib:,} MiB of the disk are free, or it could not be "
                 "written: come again"],
            ],
        ),
        "Success says that the image was taken, not that it can be analysed: the node reads images whose header says that they\n"
        f"show a chest ({_said(s.accept.body_parts)}) from front or back ({_said(s.accept.views)}). What becomes of others is the setting\n"
        f"`answers` ({s.answers.not_analysed}).",
        _table(
            ["Limit, beyond which the connection is closed", "Value"],
            [
                ["Bytes of an object", f"{s.limits.object_mib} MiB"],
                ["Silence of the peer, and duration of one PDU", f"{s.limits.seconds:g} s"],
            ],
        ),
        "### 3.3 Network interfaces",
        "TCP/IP by IPv4 or IPv6 of the operating system; DICOM Upper Layer (PS3.8).",
        "### 3.4 Web services",
        *_web(s),
        "### 3.5 Configuration",
        _table(
            ["Parameter", "Setting", "Value"],
            [
                ["AE title", "`title`", f"`{s.title}`"],
                ["Address", "`host`, `port`", f"{s.host}, {s.port}"],
                ["Maximum PDU received in an accepted association", "`limits.pdu_bytes`", f"{s.limits.pdu_bytes:,} bytes"],
                ["the same in an opened one", "", f"{DEFAULT_MAX_LENGTH:,} bytes"],
                ["Maximum PDU sent", "", "what the peer announces"],
                ["ARTIM, association, DIMSE and network timeouts", "`limits.seconds`", f"{s.limits.seconds:g} s"],
                ["Remote AE titles and addresses", "`peers`", "each by name"],
            ],
        ),
    ]  # fmt: skip


def _commitment(s: Settings) -> list[str]:
    return [
        "**Storage commitment** (PS3.4, J), of receivers with the setting `commitment`, after each association for results:",
        _table(
            ["Step", "What is done"],
            [
                ["Proposed in an association of its own",
                 f"{_name(COMMITMENT)} ({COMMITMENT}) as SCU; {_names(DEFAULT_TRANSFER_SYNTAXES)}"],
                ["N-ACTION", f"action type {REQUEST}, instance {INSTANCE}, for all that was sent"],
                ["N-EVENT-REPORT",
                 f"is waited for {COMMITMENT_SECONDS:g} s; later it is taken over an association that the receiver opens to the node under "
                 "its own title, with SCP/SCU role selection (the receiver as SCP)"],
                ["Answer to a report", f"{SUCCESS:04X}, or {UNKNOWN:04X} where nothing of the kind was asked of its sender"],
                ["Reported as kept", "the result is delivered, and leaves the queue"],
                ["Reported as failed, or not reported", f"sent again; at the latest after {s.delivery.longest_pause:g} s"],
            ],
        ),
    ]  # fmt: skip


def _web(s: Settings) -> list[str]:
    return [
        "**Origin server, Store Transaction** (PS3.18, 10.5): `POST /dicom-web/studies` and `POST /dicom-web/studies/{study}`.",
        _table(
            ["Property", "Value"],
            [
                ["Media type of a request", '`multipart/related; type="application/dicom"`; PS3.10 files'],
                ["Media type of an answer", "`application/dicom+json`"],
                ["SOP classes and transfer syntaxes", "those of 3.2.4"],
                ["Authentication", "`Authorization: Bearer TOKEN`, or Basic with name and token; the token names the sender"],
                ["Status 200, 202, 409", "all instances are in the queue; some; none"],
                ["Status 503 with `Retry-After`", "none is, as the queue or the disk is full"],
                ["Status 400, 401, 403, 406, 408, 413, 415, 421",
                 "no such message; no token; from a page of another origin; other media type wanted; silence; too much; other media "
                 "type sent; asked for by another name"],
            ],
        ),
        _table(["Failure reason", "Code", "When"], [[name, f"{code:04X}", when] for code, name, when in failures.TABLE]),
        "**User agent, Store Transaction**: to a receiver with a `url`; one instance a request, in Explicit VR Little Endian; answers are\n"
        "read as `application/dicom+json`. Failure reasons count as the status of a C-STORE does; 0122 strikes off, A9xx and C1xx\n"
        "give up. With `commitment` the instance is searched for (`GET /instances?SOPInstanceUID=`), and delivered when it is found.",
    ]  # fmt: skip


def _rest(s: Settings) -> list[str]:
    from pneumonia.reading_room.objects import codes

    concepts = {
        (str(code.value), str(code.scheme_designator), str(code.meaning))
        for name, code in vars(codes).items()
        if name.isupper() and hasattr(code, "scheme_designator")
    }
    tls = "with it" if s.tls is None else "on"
    return [
        "## 4 Media interchange",
        "None. `pneumonia predict` reads files of PS3.10 and writes the same objects as files.",
        "## 5 Transformation of DICOM",
        _table(
            ["Object", "Made of an image"],
            [
                ["Comprehensive SR", "TID 1500 Measurement Report: one group for the image (present or absent, with the score as "
                 "Certainty of Finding) and one planar region (TID 1410) a box; TID 4019 for the algorithm; no extension of the templates"],
                ["Grayscale Softcopy Presentation State", "the image's own grey pipeline, and boxes with scores as graphic annotations"],
                ["Secondary Capture", "8-bit RGB picture of the image with boxes and scores burnt in"],
            ],
        ),
        "Patient, study and references are copied from the image. UIDs are derived (2.25, PS3.5 B.2) from the image's UIDs, the\n"
        "models and the settings. No private attributes, SOP classes or transfer syntaxes, no standard extended SOP classes.",
        _table(["Code", "Scheme", "Meaning"], [list(code) for code in sorted(concepts)]),
        "Grayscale Standard Display Function: presentation states end in P-Values. The page shows 8-bit values as they are, and is for no\n"
        "calibrated display.",
        "## 6 Support of character sets",
        "Images in any Specific Character Set of PS3.3, C.12.1.1.2 are taken. Results repeat the image's where it is valid, else their\n"
        "texts are in ISO_IR 192 (UTF-8). Attributes whose values DICOM would not allow are left empty in results.",
        "## 7 Security",
        _table(
            ["Profile", "Support"],
            [
                ["TLS (profiles of PS3.15, B, on BCP 195)", f"{tls}: TLS 1.2 and 1.3 by OpenSSL (setting `tls`); with `authority` "
                 "peers are authenticated by certificate"],
                ["HTTPS for DICOMweb", "as origin server with `web.tls`; as user agent by the `url`"],
                ["Application level", "called and calling AE titles; tokens for DICOMweb and the page"],
                ["Audit trail (PS3.15, A.5)", "none; the log names images by a hash, and no person"],
                ["De-identification, digital signatures", "none"],
            ],
        ),
    ]  # fmt: skip


def _name(uid: str) -> str:
    return str(UID(uid).name)


def _names(uids: Iterable[str]) -> str:
    return ", ".join(map(_name, uids))


def _said(values: Sequence[str]) -> str:
    return ", ".join(value or "not said" for value in values) or "nothing"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
