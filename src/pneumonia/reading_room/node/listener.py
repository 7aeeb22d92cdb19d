"""The node's ear: answers C-ECHO, takes images by C-STORE into the queue, refuses what it does not know."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast

from pynetdicom import AE, _config, evt

from pneumonia.dicom.decoders import TRANSFER_SYNTAXES
from pneumonia.reading_room.node.commitment import COMMITMENT, Commitments
from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket
from pneumonia.reading_room.node.seldom import Seldom
from pneumonia.reading_room.node.transport import SAID_EVERY, BoundedSocket, Bounds, Server

LOG = logging.getLogger(__name__)
VERIFICATION = "1.2.840.10008.1.1"
STORED, OUT_OF_RESOURCES = 0x0000, 0xA700  # PS3.4, table B.2-1


class Listener:
    """Listens from `serve` to `stop`.

    Arguments:
        title: this node's; an association must name it.
        allowed: titles that may ask for an association.
        images: SOP classes that are taken.
        waiting: images in the queue from which on senders are told to come again.
        free_bytes: of the disk, below which they are told the same.
        count: is called with what happened to an image: `accepted`, `known`, `busy`, `failed`.
        commitments: take what peers say of results that they were asked to keep; None: none is asked.

    Raises:
        OSError: it cannot listen; names the address.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        title: str,
        allowed: Collection[str],
        images: Collection[str],
        address: tuple[str, int],
        bounds: Bounds,
        waiting: int,
        free_bytes: int,
        tls: ssl.SSLContext | None,
        count: Callable[[str], None],
        commitments: Commitments | None = None,
    ) -> None:
        quiet_library()
        _config.STORE_RECV_CHUNKED_DATASET = True  # a C-STORE request goes to a file as it arrives
        self._queue, self._waiting, self._free_bytes, self._count = queue, waiting, free_bytes, count
        self._seldom = Seldom(SAID_EVERY)
        entity = AE(title)
        entity.require_called_aet = True
        entity.require_calling_aet = sorted(allowed)
        entity.maximum_associations = bounds.associations
        entity.maximum_pdu_size = bounds.pdu_bytes
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = bounds.seconds
        entity.add_supported_context(VERIFICATION)
        for image in images:
            entity.add_supported_context(image, sorted(TRANSFER_SYNTAXES))
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_DIMSE_RECV, _message_ended),
            (evt.EVT_REJECTED, self._rejected),
        ]
        if commitments is not None:  # the peer is the provider here, though it opens the association
            entity.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
            handlers.append((evt.EVT_N_EVENT_REPORT, commitments.report))
        try:
            made = entity.make_server(
                address,
                ssl_context=tls,
                evt_handlers=handlers,
                server_class=Server,
                bounds=bounds,
                incoming=queue.incoming,
            )
        except OSError as error:
            raise OSError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
        self._server, self._serving = cast(Server, made), False

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self._server.server_address[1])

    @property
    def associations(self) -> int:
        """How many are open."""
        return len(self._server.active_associations)

    @property
    def refused(self) -> int:
        """Connections closed at once, the limit being reached."""
        return self._server.refused

    @property
    def cut(self) -> int:
        """Connections closed for what was sent: too much, or too slowly."""
        return self._server.cut

    @property
    def tls_failures(self) -> int:
        """Handshakes of TLS that came to nothing."""
        return self._server.tls_failures

    def serve(self) -> None:
        """Accept connections until `stop` is called from another thread."""
        self._serving = True
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """Accept no more, and abort what is open."""
        if self._serving:
            self._server.shutdown()
        self._server.server_close()
        for association in self._server.active_associations:
            association.abort()

    def _store(self, event: evt.Event) -> int:
        try:
            return self._accept(event.assoc.requestor.ae_title, event.request, event.dataset_path)
        except Exception as error:  # as where the disk is full
            self._count("failed")
            LOG.error("not stored from=%r error=%s", event.assoc.requestor.ae_title, type(error).__name__)
            return OUT_OF_RESOURCES

    def _rejected(self, event: evt.Event) -> None:
        sender = event.assoc.requestor.ae_title
        times = self._seldom.count(f"rejected {sender}")
        if times:
            LOG.warning("rejected association from=%r times=%d", sender, times)

    def _accept(self, sender: str, request: Any, path: Path) -> int:
        if self._queue.books.counts()["waiting"] >= self._waiting or self._queue.disk.free_bytes() < self._free_bytes:
            self._count("busy")
            times = self._seldom.count(f"busy {sender}")
            if times:
                LOG.warning("busy from=%s times=%d", sender, times)
            return OUT_OF_RESOURCES
        image, size = ticket(str(request.AffectedSOPInstanceUID)), path.stat().st_size
        came = self._queue.accept(image, path, sender)
        what = "accepted" if came.new else "known"
        self._count(what)
        LOG.info("%s image=%s from=%s bytes=%d", what, came.ticket, sender, size)
        return STORED


def quiet_library() -> None:
    """The libraries' logs repeat what peers and files say: they stay silent."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in ("highdicom", "pydicom", "pynetdicom"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def _message_ended(event: evt.Event) -> None:
    if isinstance(event.assoc.dul.socket, BoundedSocket):
        path = event.message._data_set_path
        event.assoc.dul.socket.message_ended(path if isinstance(path, Path) else None)


def server_context(certificate: str, key: str, authority: str) -> ssl.SSLContext:
    """TLS for a listener; with `authority` a peer must show a certificate that it signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority or None)
    context.load_cert_chain(certificate, key)
    if authority:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
