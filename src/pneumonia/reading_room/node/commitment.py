"""Storage commitment (PS3.4, J): a result that was sent leaves the queue when its receiver says that it keeps it.

The receiver is asked over an association of its own (N-ACTION), and says so there while that is open, or over one that it
opens to this node (N-EVENT-REPORT). What was asked is held in memory: after a kill results are sent again, and asked for
again, under the same UIDs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE, evt

from pneumonia.reading_room.node.courier import Courier
from pneumonia.reading_room.node.records import Parcel

LOG = logging.getLogger(__name__)
COMMITMENT, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"  # SOP class, and its one instance
REQUEST = 1  # action type
SUCCESS, UNKNOWN = 0x0000, 0x0110  # statuses of an answer to a report; the second: of nothing that was asked
AT_ONCE = 10_000  # requests without an answer that are remembered
SECONDS = 5.0  # that an association is kept open for an answer


@dataclass
class _Asked:
    peer: str
    parcels: dict[str, Parcel]
    tell: Callable[[Parcel, bool], None]
    answered: threading.Event = field(default_factory=threading.Event)


class Commitments:
    """What receivers were asked to keep and have not answered. Safe to use from several threads."""

    def __init__(self) -> None:
        self._asked, self._lock = dict[str, _Asked](), threading.Lock()

    def ask(self, peer: str, parcels: Mapping[str, Parcel], tell: Callable[[Parcel, bool], None]) -> str:
        """A new transaction.

        Arguments:
            peer: title of the receiver.
            parcels: by SOP Instance UID.
            tell: is called for each, with whether it is kept.
        """
        transaction = str(generate_uid(prefix=None))
        with self._lock:
            while len(self._asked) >= AT_ONCE:
                del self._asked[next(iter(self._asked))]
            self._asked[transaction] = _Asked(peer, dict(parcels), tell)
        return transaction

    def wait(self, transaction: str, seconds: float) -> None:
        """Until it is answered."""
        with self._lock:
            asked = self._asked.get(transaction)
        if asked is not None:
            asked.answered.wait(seconds)

    def drop(self, transaction: str) -> None:
        """It was not asked after all."""
        with self._lock:
            self._asked.pop(transaction, None)

    def report(self, event: evt.Event) -> tuple[int, None]:
        """Handle N-EVENT-REPORT, whichever side opened the association."""
        said: Any = event.event_information
        asked_by = event.assoc.acceptor if event.assoc.is_requestor else event.assoc.requestor
        transaction = str(said.get("TransactionUID", ""))
        with self._lock:
            asked = self._asked.get(transaction)
            if asked is None or (event.assoc.is_acceptor and asked_by.ae_title != asked.peer):
                return UNKNOWN, None
            del self._asked[transaction]
        kept = _instances(said, "ReferencedSOPSequence") - _instances(said, "FailedSOPSequence")
        for instance, parcel in asked.parcels.items():
            asked.tell(parcel, instance in kept)
        asked.answered.set()
        return SUCCESS, None


class CommittingCourier(Courier):
    """A courier whose parcels are delivered when their receiver says that it keeps them.

    Arguments:
        commitments: of the node.
        named: see `Courier`.
    """

    def __init__(self, *arguments: Any, commitments: Commitments, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._commitments, self._unasked = commitments, dict[str, tuple[str, Parcel]]()
        self._asker = AE(self._entity.ae_title)
        self._asker.acse_timeout = self._asker.dimse_timeout = self._asker.network_timeout = self._seconds
        self._asker.connection_timeout = self._seconds
        self._asker.add_requested_context(COMMITMENT)

    def step(self) -> int:
        """Send what is due now, and ask the receiver to keep what it took."""
        number = super().step()
        if self._unasked:
            self._ask()
        return number

    def _done(self, parcel: Parcel, outcome: str) -> None:
        if outcome != "sent":
            super()._done(parcel, outcome)
            return
        kind, instance = _identity(parcel.path)
        self._unasked[instance] = kind, parcel
        self._outbox.postpone(parcel, self._longest_pause)  # sent again, where there is no answer

    def _ask(self) -> None:
        unasked, self._unasked = self._unasked, {}
        parcels = {instance: parcel for instance, (_, parcel) in unasked.items()}
        transaction = self._commitments.ask(self._peer, parcels, self._told)
        wanted = Dataset()
        wanted.TransactionUID = transaction
        wanted.ReferencedSOPSequence = []
        for instance, (kind, _) in unasked.items():
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, instance
            wanted.ReferencedSOPSequence.append(item)
        fault = self._request(wanted)
        if fault:
            self._commitments.drop(transaction)
            for parcel in parcels.values():
                self._postpone(parcel, fault)

    def _request(self, wanted: Dataset) -> str:
        """An empty text, or what went wrong."""
        try:
            association: Any = self._asker.associate(
                *self._address,
                ae_title=self._peer,
                tls_args=(self._tls, self._address[0]) if self._tls else None,
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._limit_silence),
                    (evt.EVT_N_EVENT_REPORT, self._commitments.report),
                ],
            )
            if not association.is_established:
                return "no storage commitment"
            try:
                status, _ = association.send_n_action(wanted, REQUEST, COMMITMENT, INSTANCE)
                if status.get("Status") == SUCCESS:
                    self._commitments.wait(wanted.TransactionUID, min(SECONDS, self._seconds))
                    return ""
                return f"storage commitment: status 0x{status.get('Status', 0xFFFF):04X}"
            finally:
                if association.is_established:
                    association.release()
        except Exception as error:  # as where the association ends meanwhile
            return f"storage commitment: {type(error).__name__}"

    def _told(self, parcel: Parcel, kept: bool) -> None:
        """In a thread of the association that the answer came by."""
        if kept:
            super()._done(parcel, "sent")
        else:
            self._outbox.postpone(parcel, self._first_pause)
            self._count("failed", None)
            LOG.warning("not kept image=%s file=%s to=%s", parcel.ticket, parcel.path.name, self._peer)


def _identity(path: Path) -> tuple[str, str]:
    tags = ["SOPClassUID", "SOPInstanceUID"]
    header = dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    return str(header.SOPClassUID), str(header.SOPInstanceUID)


def _instances(said: Any, name: str) -> set[str]:
    return {str(item.get("ReferencedSOPInstanceUID", "")) for item in said.get(name) or ()}
