"""An image that comes in a request: to a file as it arrives, then to the queue."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tempfile
import threading
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from pneumonia.dicom.decoders import TRANSFER_SYNTAXES
from pneumonia.dicom.parsing import parse
from pneumonia.reading_room.node.web.desk import Desk
from pneumonia.reading_room.node.web.failures import (
    BUSY,
    FAILED,
    NOT_UNDERSTOOD,
    OTHER_STUDY,
    SOP_CLASS,
    TRANSFER_SYNTAX,
)
from pneumonia.reading_room.objects.source import MAX_LENGTH, require_short
from pneumonia.rejection import StudyError

_one = threading.Lock()  # file at a time is held in memory


@dataclass(frozen=True)
class Taken:
    """What became of one image.

    Attributes:
        failure: 0, or a reason of `pneumonia.reading_room.node.web.failures`.
        ticket: of the queue; empty where it was not understood.
        known: whether the queue had it already.
        sop_class, sop_instance: as far as they are known.
    """

    failure: int
    ticket: str = ""
    known: bool = False
    sop_class: str = ""
    sop_instance: str = ""


class Upload:
    """The file that one image is written to; never more than it may have. It is gone after `close`, unless it was taken."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._left, self._failure = desk, desk.object_bytes, BUSY if desk.busy() else 0
        handle, name = tempfile.mkstemp(suffix=".dcm", dir=desk.incoming)
        self._file, self._path = os.fdopen(handle, "wb"), Path(name)

    def write(self, data: bytes) -> None:
        """Add a piece; what cannot be kept is dropped, and `finish` says why."""
        self._left -= len(data)
        if self._left < 0:
            self._failure = self._failure or NOT_UNDERSTOOD
        if self._failure:
            return
        try:
            self._file.write(data)
        except OSError:  # as where the disk is full
            self._failure = BUSY

    def finish(self, sender: str, study: str = "") -> Taken:
        """Hand the file to the queue, which logs it.

        Arguments:
            sender: who brought it.
            study: Study Instance UID that it must have; empty: any.
        """
        try:
            self._file.close()
        except OSError:
            self._failure = BUSY
        if self._failure:
            return Taken(self._failure)
        try:
            with _one:
                known = _identify(self._path.read_bytes(), self._desk, study)
        except StudyError:
            return Taken(NOT_UNDERSTOOD)
        except Exception:  # nobody foresaw it
            return Taken(FAILED)
        if known.failure:
            return known
        try:
            outcome, ticket = self._desk.take(sender, known.ticket, self._path)
        except Exception:  # as where the disk is full; the node has logged it
            outcome, ticket = "busy", ""
        return replace(known, failure=BUSY if outcome == "busy" else 0, ticket=ticket, known=outcome == "known")

    def close(self) -> None:
        """Remove what was not taken."""
        with contextlib.suppress(OSError):  # what could not be written as it was closed
            self._file.close()
        self._path.unlink(missing_ok=True)


async def arriving(stream: AsyncIterator[bytes], desk: Desk) -> AsyncIterator[bytes]:
    """The pieces of a request's body.

    Raises:
        TimeoutError: the client says nothing for too long.
        OverflowError: there is more than a request may bring.
    """
    left, pieces = desk.request_bytes, aiter(stream)
    while True:
        try:
            piece = await asyncio.wait_for(anext(pieces), desk.seconds)
        except StopAsyncIteration:
            return
        left -= len(piece)
        if left < 0:
            raise OverflowError(f"more than {desk.request_bytes:,} bytes")
        yield piece


def _identify(data: bytes, desk: Desk, study: str) -> Taken:
    """What a file says that it is, under `failure` what speaks against it; nothing of a patient is read."""
    import pydicom

    meta = parse(data, pixels=False)[0].file_meta  # within bounds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=list(names), force=True)
        require_short(header, MAX_LENGTH)
        kind, instance, own = (str(header.get(name, "") or "").strip(" \0") for name in names)
    if not instance or not kind:
        return Taken(NOT_UNDERSTOOD)
    failure = 0
    if kind not in desk.images:
        failure = SOP_CLASS
    elif str(meta.get("TransferSyntaxUID", "")) not in TRANSFER_SYNTAXES:
        failure = TRANSFER_SYNTAX
    elif study and own != study:
        failure = OTHER_STUDY
    return Taken(failure, desk.ticket(instance), False, kind, instance)
