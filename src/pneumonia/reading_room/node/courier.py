"""The node's mouth: sends results to one peer by C-STORE, again and again until the peer has them."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association

from pneumonia.reading_room.node.outbox import Outbox
from pneumonia.reading_room.node.records import Parcel
from pneumonia.reading_room.node.seldom import Seldom
from pneumonia.reading_room.node.transport import tls_fault

LOG = logging.getLogger(__name__)
KINDS = {  # SOP classes (PS3.4, B.5) by the name that `pneumonia.reading_room.objects.make` gives their objects
    "sr": "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "pr": "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "sc": "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
}
RESULTS = tuple(KINDS.values())
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]  # as results are written; what they can be turned into
AT_ONCE = 64  # parcels of one association
SAID_EVERY = 300.0  # seconds between two lines of log about one trouble
_TAKEN = (0x0000, 0x0111)  # success; duplicate SOP instance: it has it (PS3.7, C.5.6)
_TAKEN_WITH_WARNING = 0xB000  # to 0xBFFF
_NOT_SUPPORTED = 0x0122  # the SOP class (PS3.7, C.5.11): what a peer says that should have refused it before
_NO_MATCH = 0xA900  # to 0xA9FF: this object is not of its class, says the peer (PS3.4, table B.2-1): it will not change its mind


class Courier:
    """Sends until `stop` is set.

    A peer that is away, or takes no kind of result at all, is tried once for all that waits for it, and later again. Of one
    that takes another kind of an image's results, those that it does not take are struck off. An object that it refuses for
    good is given up; else it is tried again.

    Arguments:
        title: this node's.
        peer: title of the receiver, at `address`.
        kinds: names in `KINDS` of what it is sent; others are struck off.
        first_pause, longest_pause: seconds between two tries; doubled from one to the next.
        give_up: seconds after the first vain try, from which on a result is tried no more.
        seconds: that the peer may be silent.
        count: is called with `sent`, `failed`, `given up` or `not taken`, and, where an image is answered in full, the
            seconds since it came in (else None).
        wake: is set where there may be something to send, or `stop` is set.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        title: str,
        peer: str,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
        first_pause: float,
        longest_pause: float,
        give_up: float,
        seconds: float,
        count: Callable[[str, float | None], None],
        stop: threading.Event,
        kinds: Collection[str] = tuple(KINDS),
        wake: threading.Event | None = None,
    ) -> None:
        self._entity = AE(title)
        self._entity.acse_timeout = self._entity.dimse_timeout = self._entity.network_timeout = seconds
        self._entity.connection_timeout = seconds
        for kind in kinds:
            self._entity.add_requested_context(KINDS[kind], SYNTAXES)
        self._outbox, self._peer, self._address, self._tls, self._kinds = outbox, peer, address, tls, kinds
        self._tls_faults: list[str] = []
        if tls is not None:
            tls.sslsocket_class = _telling(self._tls_faults)
        self._first_pause, self._longest_pause, self._give_up = first_pause, longest_pause, give_up
        self._seconds, self._count, self._stop = seconds, count, stop
        self._wake = wake or threading.Event()
        self._vain = 0  # associations tried since the last good one
        self._not_before = 0.0  # when the next is due
        self._trouble: tuple[float, Seldom] | None = None  # since when something fails, and when that was said
        self._not_taken = set[str]()  # kinds of which it was said

    def serve(self) -> None:
        """Send what is due, then wait for more."""
        while not self._stop.is_set():
            self._wake.clear()
            if not self.step():
                self._wake.wait(0.5)  # no longer: what is postponed becomes due without a sign

    def step(self) -> int:
        """Send what is due now.

        Returns:
            The number of results tried, or struck off.
        """
        if time.monotonic() < self._not_before:
            return 0
        parcels = self._outbox.due(self._peer, AT_ONCE)
        wanted = [parcel for parcel in parcels if _kind(parcel.path) in self._kinds]
        for parcel in parcels:
            if parcel not in wanted:
                self._done(parcel, "not wanted")
        if not wanted:
            return len(parcels)
        association, fault = self._associate()
        try:
            taken = _taken(association)
            # An association has some; what comes in its place, for a server that negotiates nothing, has none.
            if taken and taken.isdisjoint(set().union(*map(self._kinds_of_image, wanted))):
                fault = "takes no kind of result that there is"
            faults = 0
            for parcel in () if fault else wanted:
                if self._stop.is_set():
                    break
                if association is None or not association.is_established:  # by the last one, which is tried again later
                    self._not_before = time.monotonic() + self._first_pause
                    break
                faults += not self._deliver(association, parcel, taken)
        finally:
            if association is not None and association.is_established:
                association.release()
        if fault:
            self._stay_away(fault)
        else:
            self._vain = 0
            if not faults:
                self._well()
        return len(parcels)

    def _associate(self) -> tuple[Association | None, str]:
        """An association, or None and what went wrong."""
        self._tls_faults.clear()
        try:
            association = self._entity.associate(
                *self._address,
                ae_title=self._peer,
                tls_args=(self._tls, self._address[0]) if self._tls else None,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._limit_silence)],
            )
        except OSError as error:  # as where the name of the host is not known
            return None, f"no association ({type(error).__name__})"
        if association.is_established:
            return association, ""
        if association.is_rejected:
            answer: Any = association.acceptor.primitive
            return None, f"no association ({answer.reason_str.lower()})"
        if association.rejected_contexts:
            return None, "takes no kind of result"
        return None, "no association" + (f" (TLS: {self._tls_faults[-1]})" if self._tls_faults else "")

    def _deliver(self, association: Association, parcel: Parcel, taken: Collection[str]) -> bool:
        """Send one; False where it is to be tried again, or was refused for good."""
        kind = _kind(parcel.path)
        code = _NOT_SUPPORTED
        if kind in taken:
            try:
                code = association.send_c_store(parcel.path).get("Status", -1)
            except Exception as error:  # as where the association ends meanwhile
                self._postpone(parcel, type(error).__name__)
                return False
        return self._judge(parcel, code, taken)

    def _judge(self, parcel: Parcel, code: int, taken: Collection[str]) -> bool:
        """What a status means; False where the result is to be tried again, or was refused for good."""
        kind = _kind(parcel.path)
        if code == _NOT_SUPPORTED:
            if kind not in self._not_taken:
                LOG.error("kind=%s is not taken by peer=%s: name under peers what it takes (objects)", kind, self._peer)
            self._not_taken.add(kind)
            if self._kinds_of_image(parcel) & set(taken) - self._not_taken:
                self._done(parcel, "not taken")
                return True
            self._end(parcel, "not taken, nor another of its image")
            return False
        if code in _TAKEN or code & 0xF000 == _TAKEN_WITH_WARNING:
            self._not_taken.discard(kind)
            self._done(parcel, "sent")
            return True
        fault = "no answer" if code == -1 else f"status 0x{code:04X}"
        if code & 0xFF00 == _NO_MATCH:
            self._end(parcel, fault)
        else:
            self._postpone(parcel, fault)
        return False

    def _kinds_of_image(self, parcel: Parcel) -> set[str]:
        """What there is of the image that a result is of, delivered or not."""
        return {_kind(path) for path in (parcel.path, *parcel.path.parent.glob("*.dcm"))} & set(self._kinds)

    def _done(self, parcel: Parcel, outcome: str) -> None:
        whole = self._outbox.delivered(parcel)
        self._count(outcome, time.time() - parcel.received if whole else None)
        if whole:
            LOG.info("answered image=%s to=%s", parcel.ticket, self._peer)

    def _limit_silence(self, event: evt.Event) -> None:
        """The library waits for ever for the rest of what a peer began to say, or for a peer to read on."""
        connection: Any = event.assoc.dul.socket
        connection.socket.settimeout(self._seconds)

    def _overdue(self, parcel: Parcel) -> bool:
        return parcel.failing is not None and time.time() - parcel.failing > self._give_up

    def _end(self, parcel: Parcel, fault: str) -> None:
        self._outbox.give_up(parcel, fault)
        self._count("given up", None)
        LOG.error("given up image=%s file=%s to=%s fault=%s", parcel.ticket, parcel.path.name, self._peer, fault)

    def _postpone(self, parcel: Parcel, fault: str) -> None:
        """Try one again later."""
        if self._overdue(parcel):
            self._end(parcel, fault)
            return
        pause = self._pause(parcel.tries)
        self._outbox.postpone(parcel, pause)
        self._count("failed", None)
        self._ill(fault, pause)

    def _stay_away(self, fault: str) -> None:
        """Try all that waits for the peer later; one clock for all of it."""
        for parcel in self._outbox.due(self._peer, AT_ONCE):
            if self._overdue(parcel):
                self._end(parcel, fault)
        pause = self._pause(self._vain)
        self._outbox.postpone_all(self._peer, pause)
        self._not_before = time.monotonic() + pause
        self._vain += 1
        self._count("failed", None)
        self._ill(fault, pause)

    def _pause(self, tries: int) -> float:
        return min(self._longest_pause, self._first_pause * 2.0 ** min(tries, 30))

    def _ill(self, fault: str, pause: float) -> None:
        """Say it, once and then seldom."""
        if self._trouble is None:
            self._trouble = time.monotonic(), Seldom(SAID_EVERY)
        since, seldom = self._trouble
        tries = seldom.count(fault)
        if tries:
            LOG.warning(
                "not sent to=%s fault=%s tries=%d results=%d since=%.0fs again_in=%.0fs",
                self._peer, fault, tries, self._outbox.undelivered_to().get(self._peer, 0), time.monotonic() - since, pause,
            )  # fmt: skip

    def _well(self) -> None:
        if self._trouble is not None:
            LOG.info("sent again to=%s after=%.0fs", self._peer, time.monotonic() - self._trouble[0])
        self._trouble = None


def _kind(path: Path) -> str:
    return path.name.split(".")[-2]


def _taken(association: Association | None) -> set[str]:
    syntaxes = [context.abstract_syntax for context in association.accepted_contexts] if association else []
    return {kind for kind, syntax in KINDS.items() if syntax in syntaxes}


def _telling(faults: list[str]) -> type[ssl.SSLSocket]:
    """A socket that notes why its handshake failed: the library says only that there is no association."""

    class Telling(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as error:
                faults.append(tls_fault(error))
                raise

    return Telling


def client_context(certificate: str, key: str, authority: str) -> ssl.SSLContext:
    """TLS towards a peer: checked by `authority`, or the machine's own list, and by the name it is called by."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority or None)
    context.load_cert_chain(certificate, key)
    return context
