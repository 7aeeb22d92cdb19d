"""The server over real connections: silence, too many at once, TLS, an address in use."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("starlette")

from tests.pneumonia.reading_room.node.stand_in import Model, certificate, echo, radiograph, until

from pneumonia.reading_room.node.serve import Node
from pneumonia.reading_room.node.web import server

Start = Callable[..., Node]


def port(node: Node) -> int:
    assert node.page is not None
    return node.page.port


def closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-"])
def test_a_connection_on_which_nothing_begins_is_closed(started: Start, monkeypatch: pytest.MonkeyPatch, said: bytes):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 1)
    node = started(web={"port": 0})
    with socket.create_connection(("127.0.0.1", port(node)), timeout=10) as connection:
        connection.sendall(said)
        assert closed(connection)
    with socket.create_connection(("127.0.0.1", port(node)), timeout=10) as connection:
        connection.sendall(b"GET /page/session HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: b'{"open":true' in connection.recv(10_000))
        connection.sendall(said)  # half of a second request
        assert closed(connection)


def test_an_upload_may_take_its_time(started: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 1)
    node, data = started(web={"port": 0}), radiograph()
    connection = http.client.HTTPConnection("127.0.0.1", port(node), timeout=10)

    def slowly():
        for start in range(0, len(data), 1000):
            time.sleep(0.5)
            yield data[start : start + 1000]

    headers = {"Content-Type": "application/dicom", "Content-Length": str(len(data))}
    connection.request("POST", "/page/images", slowly(), headers)
    assert connection.getresponse().status == 202
    until(lambda: node.queue.books.counts()["answered"] == 1)


def test_many_connections_do_not_stop_the_node(started: Start):
    node = started(web={"port": 0})
    held = [socket.create_connection(("127.0.0.1", port(node)), timeout=10) for _ in range(server.CONNECTIONS + 20)]
    try:
        until(lambda: status(port(node), "/page/state") == 503)
        assert echo(node.listener.port) == 0
    finally:
        for connection in held:
            connection.close()
    until(lambda: status(port(node), "/page/state") == 200)


def status(number: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().status


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/settings.py",
        "/static//etc/passwd",
        "/page/images/../x",
    ],
)
def test_no_path_leads_elsewhere(started: Start, path: str):
    assert status(port(started(web={"port": 0})), path) == 404


def test_an_image_of_which_nothing_is_kept(started: Start):
    node = started(web={"port": 0})
    assert status(port(node), f"/page/images/{'0' * 32}") == 404
    assert status(port(node), f"/page/images/{'0' * 32}/picture") == 404


def test_what_is_dropped_again_when_its_picture_is_gone_is_read_again(started: Start, model: Model):
    node = started(web={"port": 0, "keep_images": 1})

    def drop(number: int) -> dict[str, object]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port(node)}/page/images", radiograph(number), method="POST"
        )
        request.add_header("Content-Type", "application/dicom")
        with urllib.request.urlopen(request, timeout=10) as answer:
            said: dict[str, object] = json.load(answer)
            return said

    first = drop(1)
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert drop(1) == {"ticket": first["ticket"], "known": True}
    drop(2)
    until(lambda: node.queue.books.counts()["answered"] == 2)
    again = drop(1)  # the second has taken its place
    assert again["known"] is False
    until(lambda: status(port(node), f"/page/images/{again['ticket']}") == 200)
    assert sum(model.batches[3:]) == 3


def test_a_full_queue_is_said_to_who_drops(started: Start, model: Model):
    node = started(web={"port": 0}, limits={"free_disk_mib": 2**30})
    request = urllib.request.Request(f"http://127.0.0.1:{port(node)}/page/images", radiograph(), method="POST")
    request.add_header("Content-Type", "application/dicom")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert (caught.value.code, caught.value.headers["Retry-After"]) == (503, "30")
    assert caught.value.read() == b"The queue is full; try again in a minute.\n"
    assert list(node.queue.incoming.iterdir()) == []


def test_with_tls(started: Start, tmp_path: Path):
    certified, key = certificate(tmp_path, "node")
    tls = {"certificate": str(certified), "key": str(key), "authority": ""}
    node = started(web={"port": 0, "tls": True}, tls=tls)
    context = ssl.create_default_context(cafile=str(certified))
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port(node), timeout=10, context=context)
    connection.request("GET", "/page/session")
    assert json.load(connection.getresponse()) == {"open": True, "tokens": False}


def test_an_address_in_use_is_named(started: Start):
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
        with pytest.raises(OSError, match=rf"web: cannot listen on 127\.0\.0\.1:{number}: Address already in use"):
            started(web={"port": number})
