"""uvicorn with bounds, in a thread of the node's."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 100
REQUEST_SECONDS = 10  # in which the head of a request must have come, from the connection or the last answer on


class _Patient(H11Protocol):
    """Closes a connection on which no request begins: as it comes, uvicorn waits for ever for the rest of its head."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._late = self.loop.call_later(REQUEST_SECONDS, self._hang_up)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._late.cancel()
        self._late = self.loop.call_later(REQUEST_SECONDS, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)

    def _hang_up(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.abort()


class Server:
    """Answers from `serve` to `stop`.

    Arguments:
        address: host and port; 0 is any that is free.
        certificate: PEM files of certificate and key; None: without TLS.

    Raises:
        OSError: it cannot listen; names the address.
    """

    def __init__(self, app: ASGIApp, address: tuple[str, int], certificate: tuple[str, str] | None = None) -> None:
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # they repeat what clients send
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            self._socket = socket.create_server(
                address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET, backlog=128
            )
        except OSError as error:
            raise OSError(f"web: cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
        self._config = uvicorn.Config(
            app,
            http=_Patient,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=2,
            ssl_certfile=certificate[0] if certificate else None,
            ssl_keyfile=certificate[1] if certificate else None,
        )
        self._server = uvicorn.Server(self._config)

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self._socket.getsockname()[1])

    def serve(self) -> None:
        """Answer until `stop` is called from another thread."""
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def stop(self) -> None:
        """Answer no more; what is being answered has two seconds."""
        self._server.should_exit = True

    def close(self) -> None:
        """Let the address go."""
        self._socket.close()
