"""Who may ask: hosts, origins, tokens and sessions; what every answer says to a browser."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.responses import PlainTextResponse
from tests.pneumonia.reading_room.node.web.asked import Answer, ask

from pneumonia.reading_room.node.web.guard import SESSIONS, Guard, Tokens, read_tokens

PAGE, PEER = "page-token-of-20-characters", "peer-token-of-20-characters"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(scope.get("state", {}).get("sender", "nobody"))(scope, receive, send)


class Client:
    """Asks one application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def get(self, path: str, **options: Any) -> Answer:
        return ask(self._app, "GET", path, **options)

    def post(self, path: str, **options: Any) -> Answer:
        return ask(self._app, "POST", path, **options)


def client(tokens: Tokens) -> Client:
    guard = Guard(
        echo, tokens=tokens, hosts=("localhost", "[::1]"), public=("/", "/static/", "/login"), by_token="/dicom-web"
    )
    return Client(guard)


@pytest.fixture
def guarded() -> Client:
    return client(Tokens({PAGE: "WEB", PEER: "PACS"}))


def basic(user: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/login"])
def test_what_is_public_needs_no_token(guarded: Client, path: str):
    assert (guarded.get(path).status, guarded.get(path).text) == (200, "nobody")


@pytest.mark.parametrize("path", ["/page/state", "/dicom-web/studies", "/static", "/loginx", "//", "/staticx/"])
def test_all_else_does(guarded: Client, path: str):
    answer = guarded.get(path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("path", "authorization", "expected"),
    [
        ("/page/state", f"Bearer {PAGE}", (200, "WEB")),
        ("/page/state", f"bearer  {PAGE}", (200, "WEB")),
        ("/page/state", basic("WEB", PAGE), (200, "WEB")),
        ("/dicom-web/studies", f"Bearer {PEER}", (200, "PACS")),
        ("/dicom-web/studies", basic("PACS", PEER), (200, "PACS")),
        ("/dicom-web/studies", f"Bearer {PAGE}", (200, "WEB")),
        ("/page/state", f"Bearer {PEER}", (403, "this token is not for the page\n")),
        ("/page/state", f"Bearer {PAGE[:-1]}", (401, None)),
        ("/page/state", f"Bearer {PAGE}x", (401, None)),
        ("/page/state", "Bearer ", (401, None)),
        ("/page/state", basic("PACS", PAGE), (401, None)),
        ("/page/state", "Basic %%%", (401, None)),
        ("/page/state", PAGE, (401, None)),
    ],
)
def test_a_token_names_who_asks(guarded: Client, path: str, authorization: str, expected: tuple[int, str | None]):
    answer = guarded.get(path, headers={"Authorization": authorization})
    assert answer.status == expected[0]
    assert expected[1] in (None, answer.text)


def test_without_tokens_the_page_is_open_and_dicomweb_is_not():
    opened = client(Tokens(None))
    assert opened.get("/page/state").text == "WEB"
    assert opened.post("/dicom-web/studies").status == 401


def test_a_session_opens_the_page_alone_and_ends():
    tokens = Tokens({PAGE: "WEB"})
    secret = tokens.begin("WEB")
    cookie = {"Cookie": f"other=1; pneumonia={secret}"}
    asked = client(tokens)
    assert asked.get("/page/state", headers=cookie).text == "WEB"
    assert asked.post("/dicom-web/studies", headers=cookie).status == 401
    assert asked.get("/page/state", headers={"Cookie": f"pneumonia={secret}x"}).status == 401
    tokens.end(secret)
    assert asked.get("/page/state", headers=cookie).status == 401


def test_sessions_are_so_many():
    tokens = Tokens({PAGE: "WEB"})
    first = tokens.begin("WEB")
    later = [tokens.begin("WEB") for _ in range(SESSIONS)]
    assert tokens.of_session(first) == ""
    assert tokens.of_session(later[0]) == "WEB"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.2:8053", "", "localhost:80:80"])
def test_another_host_is_refused(guarded: Client, host: str):
    """As where another name leads here (DNS rebinding)."""
    assert guarded.get("/", headers={"Host": host}).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8053", "[::1]:8053"])
def test_the_names_of_this_host(guarded: Client, host: str):
    assert guarded.get("/", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "http://localhost:8053"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://localhost:8053"}, 200),  # a proxy in front ends TLS
        ({"Origin": "ftp://localhost:8053"}, 403),
        ({"Origin": "http://localhost:9000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("post", "/page/images"), ("get", "/page/state"), ("post", "/login")])
def test_pages_of_other_origins_are_refused(headers: dict[str, str], expected: int, method: str, path: str):
    assert getattr(client(Tokens(None)), method)(path, headers=headers).status == expected


def test_a_link_from_elsewhere_leads_to_the_page(guarded: Client):
    assert guarded.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status == 200
    assert guarded.get("/static/page.js", headers={"Sec-Fetch-Site": "cross-site"}).status == 403


def test_every_answer_tells_a_browser_what_it_may_do(guarded: Client):
    for path in ("/", "/page/state"):
        said = guarded.get(path).headers
        policy = said["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (said["cache-control"], said["x-content-type-options"]) == ("no-store", "nosniff")
        assert "access-control-allow-origin" not in said


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_of_tokens(tmp_path: Path):
    path = written(tmp_path, f"# who may ask\nWEB {PAGE}\n\n  MY PACS   {PEER}\n")
    assert read_tokens(path, ["WEB", "MY PACS"]) == {PAGE: "WEB", PEER: "MY PACS"}


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (f"WEB {PAGE}", 0o640, "can be read by other users: chmod 600"),
        (f"WEB {PAGE}", 0o604, "can be read by other users"),
        ("WEB short", 0o600, "line 1: a token needs 20 ASCII characters at least, got 5"),
        (f"OTHER {PAGE}", 0o600, "line 1: names 'OTHER'; wanted one of PACS, WEB"),
        (f"WEB {PAGE}\nPACS {PAGE}", 0o600, "line 2: the token stands there already"),
        (PAGE, 0o600, "line 1: names ''"),
        ("# nobody", 0o600, "holds no token"),
    ],
)
def test_what_is_wrong_with_a_file_of_tokens(tmp_path: Path, text: str, mode: int, said: str):
    with pytest.raises(ValueError) as caught:
        read_tokens(written(tmp_path, text, mode), ["WEB", "PACS"])
    assert said in str(caught.value)
    assert PAGE not in str(caught.value)


def test_no_file_of_tokens(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="NAME TOKEN"):
        read_tokens(tmp_path / "none", ["WEB"])
