"""pynetdicom's server with bounds: on connections, silence, the size of a PDU and of an object, and what is read ahead.

As it comes, it reads whatever length a peer announces, waits for ever for bytes that do not arrive, shakes hands over TLS
in the one thread that accepts connections, takes in further objects while one is being stored, and leaves the files of
objects that came to nothing.
"""

from __future__ import annotations

import errno
import logging
import shutil
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socketserver import BaseServer
from tempfile import NamedTemporaryFile
from typing import Any, cast

from pynetdicom import dimse_messages
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationServer, AssociationSocket, RequestHandler

from pneumonia.reading_room.node.seldom import Seldom

LOG = logging.getLogger(__name__)
READ_AHEAD = 1  # complete messages that wait for the one being handled; then the peer's TCP window fills
COMMAND_BYTES = 2**16  # of a message besides the object that it stores, which alone goes to a file
SAID_EVERY = 300.0  # seconds between two lines of log about one host's one fault
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")  # OpenSSL's names
REFUSALS = 16  # connections beyond the limit that are told so; more are closed


@dataclass(frozen=True)
class Bounds:
    """What a peer may take.

    Attributes:
        associations, associations_per_host: at once, of all peers and of one host.
        pdu_bytes, object_bytes: of one PDU and of one stored object.
        seconds: that it may be silent, or take over one PDU.
    """

    associations: int
    associations_per_host: int
    pdu_bytes: int
    object_bytes: int
    seconds: float


class BoundedSocket(AssociationSocket):
    """The connection of one association, in the place of the library's own. A peer beyond a bound loses it."""

    def __init__(
        self, plain: AssociationSocket, bounds: Bounds, cut: Callable[[], None], tls_failed: Callable[[OSError], None]
    ) -> None:
        vars(self).update(vars(plain))  # its own __init__ announces the connection, which has been done
        connection = cast(socket.socket, self.socket)
        connection.settimeout(bounds.seconds)
        self._bounds, self._cut, self._tls_failed = bounds, cut, tls_failed
        self._received = 0  # bytes of the message that is coming in
        self._coming: list[Path] = []  # its files: one, from a peer that behaves
        self._whole: list[Path] = []  # that of the last message, which may be being stored
        self._greeted = not isinstance(connection, ssl.SSLSocket)

    def new_file(self, folder: Path) -> Any:
        """A file for the object that is coming in."""
        made = NamedTemporaryFile(delete=False, mode="wb", suffix=".dcm", dir=folder)  # noqa: SIM115
        self._coming.append(Path(made.name))
        return made

    def message_ended(self, path: Path | None) -> None:
        """Count anew: a whole message was received, its object in the file `path`."""
        self._received = 0
        _remove([*self._whole[:-1], *(each for each in self._coming if each != path)])
        self._whole = [*self._whole[-1:], *([path] if path else [])]
        self._coming = []

    def association_ended(self) -> None:
        """Remove what was received and came to nothing."""
        _remove([*self._whole, *self._coming])

    @property
    def ready(self) -> bool:
        """Whether there is something to read, and room for it."""
        return self.assoc.dimse.msg_queue.qsize() < READ_AHEAD and super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`; raises OSError, with the connection closed, where that is more than a peer may send."""
        connection = cast(socket.socket, self.socket)
        self._received += nr_bytes
        stored = self._bounds.object_bytes if self._coming else 0
        # The header of a PDU comes before its length is known; a PDU has a few bytes besides its data.
        most = self._bounds.pdu_bytes + 1024
        if nr_bytes > most or self._received > stored + COMMAND_BYTES + most:
            self._end(f"more than {most:,} bytes in a PDU" if nr_bytes > most else "more than allowed in an object")
            raise OSError("more bytes than allowed")
        end = time.monotonic() + self._bounds.seconds
        if not self._greeted:
            self._greeted = True
            try:
                cast(ssl.SSLSocket, connection).do_handshake()
            except OSError as error:
                self._tls_failed(error)
                self._shutdown_socket()
                raise
        result = bytearray()
        while len(result) < nr_bytes:
            if time.monotonic() > end:
                self._end("a PDU that does not end")
                raise TimeoutError("a PDU that does not end")
            part = connection.recv(nr_bytes - len(result))
            if not part:
                break
            result += part
        return result

    def _end(self, why: str) -> None:
        LOG.warning("cut off from=%r reason=%s", self.assoc.requestor.ae_title, why)
        self._cut()
        self._shutdown_socket()


class Handler(RequestHandler):
    """One connection."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        server = cast("Server", self.server)
        bounded = BoundedSocket(
            cast(AssociationSocket, association.dul.socket),
            server.bounds,
            server.count_cut,
            lambda error: server.tls_failed(self.client_address[0], error),
        )
        association.dul.socket = bounded
        association.dul.daemon = True  # a peer that hangs must not keep the process from ending
        run = association.run

        def run_and_clean() -> None:
            try:
                run()
            finally:
                bounded.association_ended()

        association.run = run_and_clean  # type: ignore[method-assign]
        return association


class Server(AssociationServer):
    """Accepts connections, one short step each; every association has threads of its own.

    Objects that are stored go to files in the folder `incoming` as they arrive.
    """

    request_queue_size = 128

    def __init__(self, *arguments: Any, bounds: Bounds, incoming: Path, **named: Any) -> None:
        self.bounds, self.incoming = bounds, incoming
        self.refused = 0  # connections closed at once
        self.cut = 0  # connections closed for what was sent
        self.tls_failures = 0  # handshakes that came to nothing
        self._seldom = Seldom(SAID_EVERY)
        dimse_messages.NamedTemporaryFile = _new_file  # type: ignore[assignment]
        super().__init__(*arguments, **{**named, "request_handler": Handler})

    def shutdown(self) -> None:
        """Accept no more; returns when `serve_forever` has."""
        BaseServer.shutdown(self)  # pynetdicom's own wants to find itself in a list that it keeps for `start_server`

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """The next connection; the handshake of TLS is left to its own thread."""
        connection, address = cast(socket.socket, self.socket).accept()
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def count_cut(self) -> None:
        """A connection was closed for what was sent."""
        self.cut += 1

    def tls_failed(self, host: str, error: OSError) -> None:
        """A handshake came to nothing."""
        self.tls_failures += 1
        fault = tls_fault(error)
        times = self._seldom.count(f"{host} {fault}")
        if times:
            LOG.warning("no TLS from=%s reason=%s times=%d", host, fault, times)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection, at all and from this host."""
        host = AddressInformation.from_tuple(client_address).address
        peers = (each.requestor.address_info for each in self.active_associations)
        here = Counter(peer.address for peer in peers if peer)
        fits = here.total() < self.bounds.associations + REFUSALS and here[host] < self.bounds.associations_per_host
        self.refused += not fits
        return fits

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that could not become an association is closed; that is all."""


def tls_fault(error: OSError) -> str:
    """Why a handshake failed, in words of the library, which repeat nothing of the peer's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
        return "the peer ended the connection"
    if isinstance(error, TimeoutError):
        return "the peer fell silent"
    if isinstance(error, ssl.SSLError) and error.reason:
        words = error.reason.lower().replace("_", " ")
        if error.reason in _PLAIN:
            return f"the peer does not speak TLS ({words})"
        told = "alert" in words  # as "tlsv1 alert unknown ca": the peer's verdict on what it was shown
        return f"{'the peer says: ' if told else ''}{words}"
    return type(error).__name__


def _new_file(**options: Any) -> Any:
    """In the place of NamedTemporaryFile where pynetdicom receives an object: the association that it comes by knows it."""
    association = getattr(threading.current_thread(), "assoc", None)
    server = getattr(association, "_server", None)
    if association is None or not isinstance(server, Server):
        return NamedTemporaryFile(**options)
    if shutil.disk_usage(server.incoming).free < server.bounds.object_bytes:
        raise OSError(errno.ENOSPC, "no room for another object")  # ends the association
    return association.dul.socket.new_file(server.incoming)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
