"""Results to servers that speak DICOMweb: Orthanc with its plugin, and one that answers what a test wants."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.pneumonia.reading_room.node.stand_in import Archive, free_port, radiograph, send, until

from pneumonia.reading_room.node import echo
from pneumonia.reading_room.node.serve import Node
from pneumonia.reading_room.node.settings import Settings
from pneumonia.reading_room.node.stow import authorization

Start = Callable[..., Node]
ORTHANC = shutil.which("Orthanc", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
UID = re.compile(rb"\x08\x00\x18\x00UI..([0-9.]+)", re.DOTALL)  # SOP Instance UID of a file in explicit VR


class Server:
    """Takes what comes; `status` and `reasons` are what it answers: a failure reason for each post, then none."""

    def __init__(self) -> None:
        self.status, self.reasons, self.finds = 200, list[int](), True
        self.came, self.asked = list[str](), list[tuple[str, str]]()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.asked.append((self.path, self.headers.get("Authorization", "")))
                match = UID.search(body)
                assert match
                instance = match[1].decode()
                item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [instance]}}
                if server.reasons:
                    item["00081197"] = {"vr": "US", "Value": [server.reasons.pop(0)]}
                    self._say(409, {"00081198": {"vr": "SQ", "Value": [item]}})
                elif server.status == 200:
                    server.came.append(instance)
                    self._say(200, {"00081199": {"vr": "SQ", "Value": [item]}})
                else:
                    self._say(server.status, {})

            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers.get("Authorization", "")))
                wanted = self.path.split("SOPInstanceUID=")[1].split("&")[0]
                found = [{"00080018": {"vr": "UI", "Value": [wanted]}}] if server.finds else []
                self._say(200, found)

            def _say(self, status: int, content: Any) -> None:
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/dicom+json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def node_for(started: Start, server: Server, **peer: Any) -> Node:
    """A node whose sender is answered at the server."""
    return started(peers={"ARCHIVE": {"url": server.url, **peer}})


def test_results_go_to_the_server_of_their_sender(started: Start, server: Server, tmp_path: Path):
    login = tmp_path / "login"
    login.write_text("node:secret\n")
    login.chmod(0o600)
    node = node_for(started, server, login_file=str(login))
    assert send(node.listener.port, [radiograph(0), radiograph(1)]) == [0, 0]
    until(lambda: node.queue.books.counts()["answered"] == 2)
    assert len(set(server.came)) == len(server.came) == 4
    assert set(server.asked) == {("/dicom-web/studies", "Basic " + base64.b64encode(b"node:secret").decode())}
    assert list((node.queue.folder / "results").iterdir()) == []


def test_kinds_that_a_server_is_not_to_have_are_struck_off(started: Start, server: Server):
    node = node_for(started, server, objects=["sr"])
    send(node.listener.port, [radiograph(0)])
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert len(server.came) == 1


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503, 204, 302])
def test_a_server_that_cannot_is_tried_again(started: Start, server: Server, status: int):
    server.status = status
    node = node_for(started, server)
    send(node.listener.port, [radiograph(0)])
    until(lambda: len(server.asked) >= 2)
    assert node.queue.books.counts()["answering"] == 1
    server.status = 200
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert len(server.came) == 2


def test_a_server_that_is_away_is_tried_again(started: Start, server: Server):
    port = free_port()
    node = started(peers={"ARCHIVE": {"url": f"http://127.0.0.1:{port}/dicom-web"}})
    send(node.listener.port, [radiograph(0)])
    until(lambda: node.queue.books.counts()["answering"] == 1)
    (debt,) = node.queue.outbox.debts().values()
    assert debt.results == 2


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (0xA700, "answered"),
        (0x0110, "answered"),
        (0x0122, "answered"),
        (0xA900, "undelivered"),
        (0xC122, "undelivered"),
    ],
)
def test_what_a_server_says_of_one_object(started: Start, server: Server, reason: int, state: str):
    """A full one is tried again, one that knows no such class is left in peace, one that finds it wrong is given up."""
    server.reasons = [reason]
    node = node_for(started, server)
    send(node.listener.port, [radiograph(0)])
    until(lambda: node.queue.books.counts()[state] == 1)
    assert len(server.came) == (2 if reason in (0xA700, 0x0110) else 1)


def test_with_commitment_a_result_stays_until_the_server_finds_it(started: Start, server: Server):
    server.finds = False
    node = node_for(started, server, commitment=True)
    send(node.listener.port, [radiograph(0)])
    until(lambda: sum("SOPInstanceUID" in path for path, _ in server.asked) >= 2)
    assert node.queue.books.counts()["answering"] == 1
    server.finds = True
    until(lambda: node.queue.books.counts()["answered"] == 1)


def test_a_server_is_asked_by_the_check(server: Server):
    addresses = {"UP": server.url, "GONE": f"http://127.0.0.1:{free_port()}/dicom-web"}
    peers = {title: {"url": url} for title, url in addresses.items()}
    settings = Settings.model_validate({"peers": peers})
    assert echo.peers(settings) == {"UP": "", "GONE": "does not answer (ConnectionRefusedError)"}
    assert server.asked[-1][0] == "/dicom-web/instances?SOPInstanceUID=1.2.3&limit=1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Bearer abc.def", "Bearer abc.def"),
        ("user:pass:word\n", "Basic dXNlcjpwYXNzOndvcmQ="),
    ],
)
def test_a_login(tmp_path: Path, text: str, said: str):
    path = tmp_path / "login"
    path.write_text(text)
    path.chmod(0o600)
    assert authorization(path) == said


@pytest.mark.parametrize(("text", "mode"), [("hush", 0o600), ("a:b\nhush", 0o600), ("a:hush", 0o644)], ids="123")
def test_no_login(tmp_path: Path, text: str, mode: int):
    path = tmp_path / "login"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(ValueError) as caught:
        authorization(path)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ({"url": "ftp://x"}, "url must be like https://pacs.example.org/dicom-web"),
        ({"url": "http://user:secret@x/"}, "url must be like"),
        ({"url": "http://x/dicom-web", "login_file": "f"}, "url must begin with https://"),
        ({"url": "http://localhost/", "tls": True}, "url must begin with https://"),
        ({"url": "https://x/", "host": "h", "port": 104}, "url stands in the place of host and port"),
        ({"login_file": "f"}, "login_file is for a peer with a url"),
    ],
)
def test_addresses_that_are_none(peer: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        Settings.model_validate({"peers": {"A": peer}, "results_to": ["A"]})


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[str]:
    """Orthanc's DICOMweb, its address."""
    if ORTHANC is None or not PLUGIN.is_file():
        pytest.skip("needs Orthanc and its DICOMweb plugin (orthanc-dicomweb)")
    http, folder = free_port(), tmp_path / "orthanc"
    folder.mkdir()
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": http, "DicomPort": free_port(),
        "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": {"node": "secret"},
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log)

    def up() -> bool:
        assert process.poll() is None, (folder / "orthanc.log").read_text()[-2000:]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{http}/system", timeout=5)
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        return True

    until(up, 30)
    yield f"http://127.0.0.1:{http}/dicom-web"
    process.terminate()
    process.wait(timeout=30)


def test_orthanc_has_the_results_and_dicomweb_client_finds_and_fetches_them(
    started: Start, orthanc: str, archive: Archive, tmp_path: Path
):
    api = pytest.importorskip("dicomweb_client.api")
    requests = pytest.importorskip("requests")
    login = tmp_path / "login"
    login.write_text("node:secret")
    login.chmod(0o600)
    peers = {
        "ARCHIVE": {"host": "127.0.0.1", "port": archive.port},
        "CLOUD": {"url": orthanc, "login_file": str(login), "commitment": True},
    }
    node = started(peers=peers, results_to=["ARCHIVE", "CLOUD"], capture=True)
    send(node.listener.port, [radiograph(0)])
    until(lambda: node.queue.books.counts()["answered"] == 1, 60)
    session = requests.Session()
    session.auth = ("node", "secret")
    client = api.DICOMwebClient(orthanc, session=session)
    found = client.search_for_instances(study_instance_uid="1.2.3")
    assert {each["00080018"]["Value"][0] for each in found} == set(archive.objects)
    assert len(found) == 3
    for fetched in client.retrieve_study("1.2.3"):
        assert fetched == archive.objects[fetched.SOPInstanceUID]
