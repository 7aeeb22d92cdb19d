"""pynetdicom's server with bounds: on connections, silence, the size of a PDU and of an object, and what is read ahead.

As it comes, it reads whatever length a peer announces, waits for ever for bytes that do not arrive, shakes hands over TLS
in the one thread that accepts connections, and takes in further objects while one is being stored.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationServer, AssociationSocket, RequestHandler

READ_AHEAD = 1  # complete messages that wait for the one being handled; then the peer's TCP window fills
COMMAND_BYTES = 2**16  # an object may be announced by this much besides itself
REFUSALS = 16  # connections beyond the limit that are told so; more are closed


@dataclass(frozen=True)
class Bounds:
    """associations: at once, and from one host. seconds: that a peer may be silent, or take over one PDU."""

    associations: int
    associations_per_host: int
    pdu_bytes: int
    object_bytes: int
    seconds: float


class BoundedSocket(AssociationSocket):
    """The connection of one association, in the place of the library's own. A peer beyond a bound loses it."""

    def __init__(self, plain: AssociationSocket, bounds: Bounds) -> None:
        vars(self).update(vars(plain))  # its own __init__ announces the connection, which has been done
        connection = cast(socket.socket, self.socket)
        connection.settimeout(bounds.seconds)
        self._bounds = bounds
        self._received = 0  # bytes of the message that is coming in
        self._greeted = not isinstance(connection, ssl.SSLSocket)

    def message_ended(self) -> None:
        """Count anew: a whole message was received."""
        self._received = 0

    @property
    def ready(self) -> bool:
        """Whether there is something to read, and room for it."""
        return self.assoc.dimse.msg_queue.qsize() < READ_AHEAD and super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`; raises OSError, with the connection closed, where that is more than a peer may send."""
        connection = cast(socket.socket, self.socket)
        self._received += nr_bytes
        # The header of a PDU comes before its length is known; a PDU has a few bytes besides its data.
        if nr_bytes > self._bounds.pdu_bytes + 1024 or self._received > self._bounds.object_bytes + COMMAND_BYTES:
            self._shutdown_socket()
            raise OSError("more bytes than allowed")
        end = time.monotonic() + self._bounds.seconds
        if not self._greeted:
            cast(ssl.SSLSocket, connection).do_handshake()
            self._greeted = True
        result = bytearray()
        while len(result) < nr_bytes:
            if time.monotonic() > end:
                self._shutdown_socket()
                raise TimeoutError("a PDU that does not end")
            part = connection.recv(nr_bytes - len(result))
            if not part:
                break
            result += part
        return result


class Handler(RequestHandler):
    """One connection."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        plain = cast(AssociationSocket, association.dul.socket)
        association.dul.socket = BoundedSocket(plain, cast("Server", self.server).bounds)
        association.dul.daemon = True  # a peer that hangs must not keep the process from ending
        return association


class Server(AssociationServer):
    """Accepts connections, one short step each; every association has threads of its own."""

    request_queue_size = 128

    def __init__(self, *arguments: Any, bounds: Bounds, **named: Any) -> None:
        self.bounds = bounds
        self.refused = 0  # connections closed at once
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
