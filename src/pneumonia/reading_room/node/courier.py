"""The node's mouth: sends results to one peer by C-STORE, again and again until the peer has them."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association

from pneumonia.reading_room.node.queue import Parcel, Queue

LOG = logging.getLogger(__name__)
RESULTS = (  # SOP classes (PS3.4, B.5): Comprehensive SR, Grayscale Softcopy Presentation State, Secondary Capture
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.11.1",
    "1.2.840.10008.5.1.4.1.1.7",
)
AT_ONCE = 64  # parcels of one association
_SENT = 0x0000
_SENT_WITH_WARNING = 0xB000  # to 0xBFFF


class Courier:
    """Sends until `stop` is set.

    Arguments:
        title: this node's.
        peer: title of the receiver, at `address`.
        first_pause, longest_pause: seconds between two tries; doubled from one to the next.
        give_up: seconds after the first vain try, from which on a result is tried no more.
        seconds: that the peer may be silent.
        count: is called with `sent`, `failed` or `given up`, and, where an image is answered in full, the seconds since it
            came in (else None).
    """

    def __init__(
        self,
        queue: Queue,
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
    ) -> None:
        self._entity = AE(title)
        self._entity.acse_timeout = self._entity.dimse_timeout = self._entity.network_timeout = seconds
        self._entity.connection_timeout = seconds
        for result in RESULTS:
            self._entity.add_requested_context(result)
        self._queue, self._peer, self._address, self._tls = queue, peer, address, tls
        self._first_pause, self._longest_pause, self._give_up = first_pause, longest_pause, give_up
        self._seconds, self._count, self._stop = seconds, count, stop

    def serve(self) -> None:
        """Send what is due, then wait for more."""
        while not self._stop.is_set():
            if not self.step():
                self._stop.wait(0.1)

    def step(self) -> int:
        """Send what is due now.

        Returns:
            The number of results tried.
        """
        parcels = self._queue.due(self._peer, AT_ONCE)
        if not parcels:
            return 0
        association = self._entity.associate(
            *self._address,
            ae_title=self._peer,
            tls_args=(self._tls, self._address[0]) if self._tls else None,
            evt_handlers=[(evt.EVT_CONN_OPEN, self._limit_silence)],
        )
        try:
            for parcel in parcels:
                if self._stop.is_set():
                    break
                fault = self._send(association, parcel)
                if fault:
                    self._postpone(parcel, fault)
                else:
                    whole = self._queue.delivered(parcel)
                    self._count("sent", time.time() - parcel.received if whole else None)
                    if whole:
                        LOG.info("answered image=%s to=%s", parcel.ticket, self._peer)
        finally:
            if association.is_established:
                association.release()
        return len(parcels)

    def _limit_silence(self, event: evt.Event) -> None:
        """The library waits for ever for the rest of what a peer began to say, or for a peer to read on."""
        connection: Any = event.assoc.dul.socket
        connection.socket.settimeout(self._seconds)

    def _send(self, association: Association, parcel: Parcel) -> str:
        """An empty text, or what went wrong."""
        if not association.is_established:
            return "no association"
        try:
            status = association.send_c_store(parcel.path)
        except Exception as error:  # as where the peer takes no such object
            return type(error).__name__
        code = status.get("Status")
        if code is None:
            return "no answer"
        return "" if code == _SENT or code & 0xF000 == _SENT_WITH_WARNING else f"status 0x{code:04X}"

    def _postpone(self, parcel: Parcel, fault: str) -> None:
        if parcel.failing is not None and time.time() - parcel.failing > self._give_up:
            self._queue.give_up(parcel, fault)
            self._count("given up", None)
            LOG.error("given up image=%s file=%s to=%s fault=%s", parcel.ticket, parcel.path.name, self._peer, fault)
            return
        pause = min(self._longest_pause, self._first_pause * 2.0 ** min(parcel.tries, 30))
        self._queue.postpone(parcel, pause)
        self._count("failed", None)
        LOG.warning(
            "not sent image=%s file=%s to=%s fault=%s again_in=%.0f",
            parcel.ticket, parcel.path.name, self._peer, fault, pause,
        )  # fmt: skip


def client_context(certificate: str, key: str, authority: str) -> ssl.SSLContext:
    """TLS towards a peer: checked by `authority`, or the machine's own list, and by the name it is called by."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority or None)
    context.load_cert_chain(certificate, key)
    return context
