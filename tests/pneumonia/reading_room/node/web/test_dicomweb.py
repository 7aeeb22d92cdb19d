"""Images by DICOMweb, from somebody else's client (dicomweb-client) and by hand."""

from __future__ import annotations

import io
import json
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("starlette")

from pydicom import dcmread
from tests.pneumonia.reading_room.node.stand_in import Archive, Model, radiograph, until

from pneumonia.reading_room.node.records import ticket
from pneumonia.reading_room.node.serve import Node

TOKEN = "archive-token-of-some-length"
Start = Callable[..., Node]
FAILED, THERE, OTHER, REASON = "00081198", "00081199", "0008119A", "00081197"


@pytest.fixture
def web(started: Start, tmp_path: Path) -> Callable[..., Node]:
    """Starts nodes with DICOMweb."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"ARCHIVE {TOKEN}\nWEB page-token-of-some-length\n")
    tokens.chmod(0o600)

    def start(web: dict[str, Any] | None = None, **changes: Any) -> Node:
        return started(web={"port": 0, "token_file": str(tokens), **(web or {})}, **changes)

    return start


def post(node: Node, files: list[bytes], path: str = "studies", token: str = TOKEN, **headers: str) -> tuple[int, Any]:
    """Status and answer."""
    assert node.page is not None
    body = b"".join(b"\r\n--cut\r\nContent-Type: application/dicom\r\n\r\n" + own for own in files) + b"\r\n--cut--"
    request = urllib.request.Request(f"http://127.0.0.1:{node.page.port}/dicom-web/{path}", body, method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=cut')
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else (text, dict(error.headers))


def uids(answer: dict[str, Any], sequence: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.get(sequence, {"Value": []})["Value"]]


def reasons(answer: dict[str, Any], sequence: str = FAILED) -> list[int]:
    return [item[REASON]["Value"][0] for item in answer.get(sequence, {"Value": []})["Value"]]


def test_dicomweb_client_stores_and_the_archive_is_answered(web: Start, archive: Archive):
    api = pytest.importorskip("dicomweb_client.api")
    node = web()
    session = __import__("requests").Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    client = api.DICOMwebClient(f"http://127.0.0.1:{node.page.port}/dicom-web", session=session, chunk_size=1000)
    sets = [dcmread(io.BytesIO(radiograph(number))) for number in range(3)]
    said = client.store_instances(sets)
    assert [item.ReferencedSOPInstanceUID for item in said.ReferencedSOPSequence] == [f"1.2.3.4.{n}" for n in range(3)]
    assert "FailedSOPSequence" not in said
    until(lambda: node.queue.books.counts()["answered"] == 3)
    assert sorted(made.Modality for made in archive.objects.values()) == ["PR"] * 3 + ["SR"] * 3
    said = client.store_instances(sets[:1], study_instance_uid="1.2.3")
    assert [item.ReferencedSOPInstanceUID for item in said.ReferencedSOPSequence] == ["1.2.3.4.0"]
    assert len(archive.objects) == 6  # known: stored, and answered once


def test_each_instance_has_its_own_fate(web: Start, archive: Archive):
    node = web()
    ct = radiograph(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    status, said = post(node, [radiograph(0), ct, b"garbage", radiograph(2)], "studies")
    assert status == 202
    assert uids(said, THERE) == ["1.2.3.4.0", "1.2.3.4.2"]
    assert (uids(said, FAILED), reasons(said)) == (["1.2.3.4.1"], [0x0122])
    assert reasons(said, OTHER) == [0xC000]
    until(lambda: len(archive.objects) == 4)
    assert list(node.queue.incoming.iterdir()) == []


def test_an_instance_of_another_study(web: Start):
    status, said = post(web(), [radiograph()], "studies/1.2.99")
    assert (status, reasons(said)) == (409, [0xA900])


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("studies/abc", {}, 400),
        ("studies", {"Accept": "application/dicom+xml"}, 406),
        ("studies", {"Content_Type": "application/dicom"}, 415),
        ("studies", {"Content_Type": "multipart/related; boundary=other"}, 400),
        ("studies", {"Origin": "http://evil.example"}, 403),
        ("studies", {"Authorization": "Bearer wrong"}, 401),
        ("instances", {}, 404),
    ],
)
def test_what_is_no_store_is_refused(web: Start, path: str, headers: dict[str, str], expected: int):
    node = web()
    assert post(node, [radiograph()], path, **headers)[0] == expected
    assert node.queue.books.counts()["waiting"] == 0


def test_a_full_queue_says_when_to_come_again(web: Start, model: Model):
    node = web(limits={"waiting": 1, "free_disk_mib": 0})
    model.seconds = 2.0
    post(node, [radiograph(0)])
    status, said = post(node, [radiograph(1), radiograph(2), radiograph(3)])
    if status == 202:  # the first was being read already
        status, said = post(node, [radiograph(4)])
    assert status == 503
    assert set(reasons(said) + reasons(said, OTHER)) == {0xA700}
    assert list(node.queue.incoming.iterdir()) == []
    model.seconds = 0.0


def test_too_large_an_object_is_cut_and_the_others_are_taken(web: Start, archive: Archive):
    node = web(limits={"object_mib": 1, "free_disk_mib": 0, "seconds": 3})
    status, said = post(node, [b"\0" * (3 << 20), radiograph(1)])
    assert status == 202
    assert uids(said, THERE) == ["1.2.3.4.1"]
    assert reasons(said, OTHER) == [0xC000]


def test_too_large_a_request_is_cut(web: Start):
    node = web(web={"request_mib": 1})
    try:
        status = post(node, [b"\0" * (3 << 20)])[0]
    except urllib.error.URLError:  # it hung up while more was being sent
        status = 413
    assert status == 413
    assert list(node.queue.incoming.iterdir()) == []


def test_silence_in_the_middle_ends_it(web: Start):
    node = web(limits={"seconds": 1, "free_disk_mib": 0})
    assert node.page is not None
    with socket.create_connection(("127.0.0.1", node.page.port)) as connection:
        connection.sendall(
            b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
            b"Content-Type: multipart/related; boundary=cut\r\n\r\n--cut\r\n\r\nhalf"
        )
        connection.settimeout(10)
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
    until(lambda: list(node.queue.incoming.iterdir()) == [])


def test_a_client_that_leaves_leaves_nothing(web: Start):
    node = web()
    assert node.page is not None
    with socket.create_connection(("127.0.0.1", node.page.port)) as connection:
        connection.sendall(
            b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
            b"Content-Type: multipart/related; boundary=cut\r\n\r\n--cut\r\n\r\nhalf"
        )
        until(lambda: list(node.queue.incoming.iterdir()) != [])
    until(lambda: list(node.queue.incoming.iterdir()) == [])


def test_nothing_of_a_patient_is_logged(
    web: Start, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    node = web()
    with caplog.at_level(logging.DEBUG):
        post(node, [radiograph(0), radiograph(1, ViewPosition="LL"), b"Doe^Jane", radiograph(3)[:-3000]])
        until(lambda: node.queue.books.counts()["answered"] == 1)
        until(lambda: node.queue.books.counts()["waiting"] == 0)
    said = "\n".join([*caplog.messages, *capfd.readouterr()])
    assert f"accepted image={ticket('1.2.3.4.0')} from=ARCHIVE" in said
    assert [word for word in ("Doe", "Jane", "P1", "19500102", "1.2.3.4", TOKEN) if word in said] == []
