"""One request to an ASGI application, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from starlette.datastructures import Headers


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    app: Any, method: str, path: str, *, headers: dict[str, str] | None = None, body: Iterable[bytes] = ()
) -> Answer:
    """The answer; `body` in pieces, as a client would send them."""
    given = {"host": "localhost:8053"} | {name.lower(): value for name, value in (headers or {}).items()}
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "server": ("localhost", 8053), "client": ("127.0.0.1", 1), "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    pieces, sent = iter(body), list[Any]()

    async def receive() -> dict[str, Any]:
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start, *rest = sent
    return Answer(start["status"], Headers(raw=start["headers"]), b"".join(each["body"] for each in rest))
