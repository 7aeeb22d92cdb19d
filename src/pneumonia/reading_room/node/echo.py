"""Does each peer answer? C-ECHO, as this node, to those that results can be sent to; of DICOMweb servers, a search."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pynetdicom import AE, evt

from pneumonia.reading_room.node.courier import client_context
from pneumonia.reading_room.node.listener import VERIFICATION, quiet_library
from pneumonia.reading_room.node.settings import Peer, Settings
from pneumonia.reading_room.node.stow import authorization, searched

SECONDS = 10.0  # that a peer may be silent


def peers(settings: Settings) -> dict[str, str]:
    """What became of a C-ECHO or a search to each peer with an address, by its title: an empty text, or what went wrong.

    Raises:
        OSError: a file of the settings for TLS, or with a login, cannot be read.
        ValueError: a file with a login holds none.
    """
    quiet_library()
    s = settings
    addressed = {title: peer for title, peer in s.peers.items() if peer.host}
    secret = any(peer.tls for peer in s.peers.values()) and s.tls
    context = client_context(s.tls.certificate, s.tls.key, s.tls.authority) if secret and s.tls else None
    logins = {title: authorization(Path(peer.login_file)) for title, peer in s.peers.items() if peer.login_file}
    with ThreadPoolExecutor(max(1, len(s.peers))) as pool:
        asked = {title: pool.submit(_echo, s.title, title, peer, context) for title, peer in addressed.items()}
        for title, peer in s.peers.items():
            if peer.url is not None:
                tls = context if peer.tls else None
                asked[title] = pool.submit(searched, peer.url, logins.get(title, ""), tls, SECONDS)
        return {title: each.result() for title, each in asked.items()}


def _echo(own: str, title: str, peer: Peer, context: ssl.SSLContext | None) -> str:
    entity = AE(own)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = SECONDS
    entity.add_requested_context(VERIFICATION)

    def limit_silence(event: evt.Event) -> None:
        connection: Any = event.assoc.dul.socket
        connection.socket.settimeout(SECONDS)

    host, port = str(peer.host), int(peer.port or 0)
    try:
        association = entity.associate(
            host,
            port,
            ae_title=title,
            tls_args=(context, host) if peer.tls and context else None,
            evt_handlers=[(evt.EVT_CONN_OPEN, limit_silence)],
        )
    except OSError as error:  # as where the name of the host is not known
        return type(error).__name__
    if association.is_rejected:
        answer: Any = association.acceptor.primitive
        return f"refuses {own}: {answer.reason_str.lower()}"
    if not association.is_established:
        return "takes no C-ECHO" if association.rejected_contexts else "does not answer"
    try:
        code = association.send_c_echo().get("Status")
    finally:
        association.release()
    return "" if code == 0 else "does not answer the echo" if code is None else f"answers with status 0x{code:04X}"
