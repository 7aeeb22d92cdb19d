"""Who may ask, and from where: in front of every address of the node's HTTP.

A browser carries requests of any page that a person visits, so a request must name this host (no other name that leads
here: DNS rebinding), must not come from a page of another origin, and with tokens must carry one, or the session that the
page began with one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stat
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pneumonia.reading_room.node.web.names import PAGE

COOKIE = "pneumonia"
SESSION_SECONDS, SESSIONS = 12 * 3600, 100
MIN_TOKEN = 20  # characters: not to be guessed
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
CHANGES_NOTHING = ("GET", "HEAD")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def read_tokens(path: Path, names: Collection[str]) -> dict[str, str]:
    """The tokens of a file with a line `NAME TOKEN` for each of those who may ask; empty lines and `#` are passed over.

    Arguments:
        names: that may stand there.

    Returns:
        Names by token.

    Raises:
        ValueError: it can be read by others, or a line is wrong; no token is repeated in the text.
        FileNotFoundError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; wanted a line `NAME TOKEN` for each of those who may ask")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ValueError(f"{path} can be read by other users: chmod 600 {path}")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, _, token = line.strip().rpartition(" ")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name = name.strip()
        if name not in names:
            raise ValueError(f"{path}, line {number}: names {name!r}; wanted one of {', '.join(sorted(names))}")
        if len(token) < MIN_TOKEN or not token.isascii():
            raise ValueError(
                f"{path}, line {number}: a token needs {MIN_TOKEN} ASCII characters at least, got {len(token)}"
            )
        if token in found:
            raise ValueError(f"{path}, line {number}: the token stands there already")
        found[token] = name
    if not found:
        raise ValueError(f"{path} holds no token; wanted a line `NAME TOKEN` for each of those who may ask")
    return found


class Tokens:
    """Names by token, and the sessions that were begun with one.

    Arguments:
        names: by token; None: who reaches the page may see it.
    """

    def __init__(self, names: Mapping[str, str] | None) -> None:
        self.open = names is None
        self._names = [(_digest(token), name) for token, name in (names or {}).items()]
        self._sessions: dict[bytes, tuple[float, str]] = {}

    def name(self, token: str) -> str:
        """Whose token it is; empty: nobody's. It takes as long for one as for another."""
        asked, found = _digest(token), ""
        for digest, name in self._names:
            found = name if hmac.compare_digest(digest, asked) else found
        return found

    def begin(self, name: str) -> str:
        """A session's secret, for a cookie."""
        now = time.monotonic()
        self._sessions = {key: own for key, own in self._sessions.items() if own[0] > now}
        while len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        secret = secrets.token_urlsafe(32)
        self._sessions[_digest(secret)] = now + SESSION_SECONDS, name
        return secret

    def end(self, secret: str) -> None:
        """The session is over."""
        self._sessions.pop(_digest(secret), None)

    def of_session(self, secret: str) -> str:
        """The name that a session was begun by; empty: there is no such session."""
        end, name = self._sessions.get(_digest(secret), (0.0, ""))
        return name if end > time.monotonic() else ""

    def of(self, headers: Headers) -> str:
        """The name in an `Authorization` (Bearer, or Basic with the name and its token); empty: none, or a wrong one."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.name(value.strip())
        if scheme.lower() == "basic":
            try:
                user, _, token = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return ""
            own = self.name(token)
            return own if own == user else ""
        return ""


class Guard:
    """In front of an application. What passes has `sender` in its state: who asks.

    Arguments:
        hosts: names that a request may call this host, without port; an IPv6 address in brackets.
        public: addresses that need no token; one that ends in `/` stands for all below.
        by_token: addresses, by their beginning, that a page's session does not open: programs ask there.
    """

    def __init__(
        self, app: ASGIApp, *, tokens: Tokens, hosts: Collection[str], public: Collection[str], by_token: str
    ) -> None:
        self._app, self._tokens, self._public, self._by_token = app, tokens, public, by_token
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers, path = Headers(scope=scope), scope["path"]
        called = headers.getlist("host")
        if len(called) != 1 or re.sub(r":\d{1,5}$", "", called[0]).lower() not in self._hosts:
            return PlainTextResponse("this is not the host that you asked for\n", 421)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if (origin is not None and origin not in (f"http://{called[0]}", f"https://{called[0]}")) or (
            site not in ("none", "same-origin") and not (path == "/" and scope["method"] in CHANGES_NOTHING)
        ):
            return PlainTextResponse("asked by a page of another origin\n", 403)
        if path in self._public or path.startswith(
            tuple(each for each in self._public if each.endswith("/") and each != "/")
        ):
            return None
        programs = path.startswith(self._by_token)
        sender = self._tokens.of(headers)
        if not sender and not programs:
            sender = PAGE if self._tokens.open else self._tokens.of_session(_cookie(headers))
        if not sender:
            words = "a token is needed: Authorization: Bearer TOKEN (settings: web.token_file)\n"
            return PlainTextResponse(words, 401, {"WWW-Authenticate": 'Bearer realm="pneumonia"'})
        if not programs and sender != PAGE:
            return PlainTextResponse("this token is not for the page\n", 403)
        scope.setdefault("state", {})["sender"] = sender
        return None


def _cookie(headers: Headers) -> str:
    parts = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    return next((value for name, _, value in parts if name == COOKIE), "")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
