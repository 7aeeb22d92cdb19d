"""C-ECHO to peers that answer, refuse, are silent, are not there, or are reached over TLS."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from tests.pneumonia.reading_room.node.stand_in import Archive, certificate, free_port

from pneumonia.reading_room.node import echo
from pneumonia.reading_room.node.settings import Settings

VERIFICATION = "1.2.840.10008.1.1"


def served(title: str, tls: ssl.SSLContext | None = None, **only: Any) -> Any:
    entity = AE(title)
    entity.add_supported_context(VERIFICATION)
    entity.require_calling_aet = only.get("callers", [])
    handlers: Any = [(evt.EVT_C_ECHO, lambda event: only.get("status", 0))]
    return entity.start_server(("127.0.0.1", 0), block=False, ssl_context=tls, evt_handlers=handlers)


def test_each_peer_is_asked(archive: Archive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(echo, "SECONDS", 1.0)
    servers = {
        "GOOD": served("GOOD"),
        "STRICT": served("STRICT", callers=["OTHER"]),
        "ILL": served("ILL", status=0x0110),
    }
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports = {name: server.server_address[1] for name, server in servers.items()}
        ports |= {"SILENT": silent.getsockname()[1], "GONE": free_port(), "STORE": archive.port}
        peers: dict[str, Any] = {name: {"host": "127.0.0.1", "port": port} for name, port in ports.items()}
        said = echo.peers(Settings.model_validate({"title": "NODE", "peers": {**peers, "SENDS": {}}}))
    for server in servers.values():
        server.shutdown()
    assert said == {
        "GOOD": "",
        "STRICT": "refuses NODE: calling ae title not recognised",
        "ILL": "answers with status 0x0110",
        "SILENT": "does not answer",
        "GONE": "does not answer",
        "STORE": "takes no C-ECHO",
    }


def test_over_tls(tmp_path: Path):
    pem, key = certificate(tmp_path, "node")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pem))
    context.load_cert_chain(pem, key)
    server = served("SECRET", context)
    peers = {
        title: {"host": "localhost", "port": server.server_address[1], "tls": tls}
        for title, tls in (("SECRET", True), ("PLAIN", False))
    }
    tls = {"certificate": str(pem), "key": str(key), "authority": str(pem)}
    said = echo.peers(Settings.model_validate({"peers": peers, "tls": tls}))
    server.shutdown()
    assert said == {"SECRET": "", "PLAIN": "does not answer"}
