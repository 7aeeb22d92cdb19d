"""Receivers differ, and go away: what each takes is sent, what it does not is said once."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.pneumonia.reading_room.node.stand_in import (
    Archive,
    asked,
    certificate,
    echo,
    free_port,
    radiograph,
    send,
    until,
)

from pneumonia.reading_room.node import courier
from pneumonia.reading_room.node.courier import KINDS
from pneumonia.reading_room.node.records import ticket
from pneumonia.reading_room.node.serve import Node

Start = Callable[..., Node]
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
STORESCP = shutil.which("storescp", path="/usr/local/bin:/usr/bin")


@pytest.fixture
def peer() -> Iterator[Callable[..., Archive]]:
    made: list[Archive] = []

    def start(**options: object) -> Archive:
        made.append(Archive(**options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for each in made:
        each.close()


def to(archive: Archive, **more: object) -> dict[str, object]:
    return {"peers": {"ARCHIVE": {"host": "127.0.0.1", "port": archive.port, **more}}}


def said(log: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [message for message in log.messages if words in message]


def test_a_peer_is_sent_the_kinds_that_it_wants(started: Start, archive: Archive):
    node = started(**to(archive, objects=["pr"]))
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert [made.Modality for made in archive.objects.values()] == ["PR"]
    assert archive.proposed == [(KINDS["pr"], [EXPLICIT, IMPLICIT])]


def test_only_what_can_be_sent_is_proposed(started: Start, archive: Archive):
    node = started()
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert archive.proposed == [(KINDS[kind], [EXPLICIT, IMPLICIT]) for kind in ("sr", "pr", "sc")]


def test_a_peer_that_takes_reports_alone_gets_them_and_no_second_try(
    started: Start, peer: Callable[..., Archive], caplog: pytest.LogCaptureFixture
):
    archive = peer(kinds=[KINDS["sr"]])
    with caplog.at_level(logging.INFO):
        node = started(**to(archive))
        send(node.listener.port, [radiograph(number) for number in range(3)])
        until(lambda: node.queue.books.counts()["answered"] == 3)
    assert [made.Modality for made in archive.objects.values()] == ["SR"] * 3
    assert node.queue.outbox.undelivered_to() == {}
    assert len(said(caplog, "kind=pr is not taken by peer=ARCHIVE")) == 1
    assert 'pneumonia_results_total{outcome="not taken"} 3.0' in asked(node, "metrics")


@pytest.mark.parametrize("kind", ["1.2.840.10008.1.1", KINDS["sc"]])  # of which none is made
def test_a_peer_that_takes_nothing_is_tried_again(
    started: Start, peer: Callable[..., Archive], caplog: pytest.LogCaptureFixture, kind: str
):
    archive = peer(kinds=[kind])
    with caplog.at_level(logging.INFO):
        node = started(**to(archive))
        send(node.listener.port, [radiograph()])
        until(lambda: said(caplog, "not sent to=ARCHIVE fault=takes no kind of result"))
        archive.close()
        again = peer(port=archive.port)
        until(lambda: node.queue.books.counts()["answered"] == 1)
    assert len(again.came) == 2


def test_a_peer_of_implicit_vr(started: Start, peer: Callable[..., Archive]):
    archive = peer(syntaxes=[IMPLICIT])
    node = started(**to(archive), capture=True)
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert sorted(made.Modality for made in archive.objects.values()) == ["OT", "PR", "SR"]
    (report,) = archive.of("SR")
    assert report.PatientID == "P1"


@pytest.mark.skipif(STORESCP is None, reason="needs dcmtk")
@pytest.mark.parametrize(("option", "syntax"), [("+xi", IMPLICIT), ("+xe", EXPLICIT), ("+xb", EXPLICIT)])
def test_dcmtk_takes_results_in_the_syntax_that_it_prefers(started: Start, tmp_path: Path, option: str, syntax: str):
    port, folder = free_port(), tmp_path / "received"
    folder.mkdir()
    command = [str(STORESCP), option, "-od", str(folder), "-aet", "ARCHIVE", str(port)]
    with subprocess.Popen(command) as storescp:
        try:
            until(lambda: echo(port, called="ARCHIVE") == 0)
            node = started(peers={"ARCHIVE": {"host": "127.0.0.1", "port": port}}, capture=True)
            send(node.listener.port, [radiograph()])
            until(lambda: node.queue.books.counts()["answered"] == 1)
        finally:
            storescp.kill()
    files = [dcmread(path) for path in folder.iterdir()]
    assert sorted(made.Modality for made in files) == ["OT", "PR", "SR"]
    assert {str(made.file_meta.TransferSyntaxUID) for made in files} == {syntax}


@pytest.mark.parametrize(
    ("status", "state", "outcome"),
    [
        (0x0111, "answered", "sent"),  # a duplicate: it has it
        (0xB007, "answered", "sent"),  # with a warning
        (0xA900, "undelivered", "given up"),  # not what its class wants: the next try would be the same
    ],
)
def test_what_a_peer_says_once_and_for_all(
    started: Start, peer: Callable[..., Archive], status: int, state: str, outcome: str
):
    node = started(**to(peer(status=status)))
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()[state] == 1, 5)
    assert f'pneumonia_results_total{{outcome="{outcome}"}} 2.0' in asked(node, "metrics")


def test_an_image_of_which_a_peer_supports_nothing_is_not_called_answered(started: Start, peer: Callable[..., Archive]):
    node = started(**to(peer(status=0x0122)))  # the SOP class is not supported
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["undelivered"] == 1, 5)


@pytest.mark.parametrize("status", [0xA700, 0xC000, 0x0110])
def test_what_a_peer_says_for_now(started: Start, archive: Archive, status: int, caplog: pytest.LogCaptureFixture):
    archive.status = status
    with caplog.at_level(logging.INFO):
        node = started(delivery={"first_pause": 0.1, "longest_pause": 0.1})
        send(node.listener.port, [radiograph(number) for number in range(5)])
        until(lambda: archive.associations >= 5)
        archive.status = 0
        until(lambda: node.queue.books.counts()["answered"] == 5)
    assert len(said(caplog, "not sent to=ARCHIVE")) == 1
    until(lambda: len(said(caplog, "sent again to=ARCHIVE")) == 1)


def test_an_object_on_which_a_peer_dies_holds_up_no_other(started: Start, archive: Archive):
    archive.status = 0xA700
    node = started(delivery={"first_pause": 0.3})
    send(node.listener.port, [radiograph(number) for number in range(5)])
    until(lambda: node.queue.books.counts()["answering"] == 5)
    first = node.queue.folder / "results" / sorted(ticket(f"1.2.3.4.{number}") for number in range(5))[0]
    archive.poison = str(dcmread(first / "result.sr.dcm").SOPInstanceUID)
    archive.status = 0
    until(lambda: len(archive.came) == 9)
    assert node.queue.outbox.undelivered_to() == {"ARCHIVE": 1}
    archive.poison = ""
    until(lambda: node.queue.books.counts()["answered"] == 5)


def test_a_peer_that_is_away_is_tried_once_for_all_and_said_seldom(
    started: Start, archive: Archive, peer: Callable[..., Archive], caplog: pytest.LogCaptureFixture, monkeypatch
):
    archive.close()
    tried: list[float] = []
    known = courier.Courier._associate

    def associate(self: courier.Courier) -> object:
        tried.append(time.monotonic())
        return known(self)

    monkeypatch.setattr(courier.Courier, "_associate", associate)
    with caplog.at_level(logging.INFO):
        node = started(delivery={"first_pause": 0.5, "longest_pause": 0.5})
        began = time.monotonic()
        send(node.listener.port, [radiograph(number) for number in range(40)])
        until(lambda: node.queue.books.counts()["answering"] == 40)
        time.sleep(2)
        assert 2 <= len(tried) <= 2 * (time.monotonic() - began) + 2  # one a pause, for 80 results
        assert len(said(caplog, "not sent to=ARCHIVE fault=no association")) == 1
        again = peer(port=archive.port)
        until(lambda: node.queue.books.counts()["answered"] == 40)
        until(lambda: len(said(caplog, "sent again to=ARCHIVE after=")) == 1)
    assert len(again.came) == 80
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_why_no_association_comes_about(started: Start, archive: Archive, caplog: pytest.LogCaptureFixture):
    peers = {
        "NOWHERE": {"host": "no-such-host.invalid", "port": 104},
        "OTHER": {"host": "127.0.0.1", "port": archive.port},
    }
    archive._entity.require_called_aet = True
    with caplog.at_level(logging.INFO):
        node = started(peers=peers, results_to=list(peers))
        send(node.listener.port, [radiograph()], title="OTHER")
        until(lambda: said(caplog, "to=NOWHERE fault=no association (gaierror)"))
        until(lambda: said(caplog, "to=OTHER fault=no association (called ae title not recognised)"))
    assert node.health()["healthy"]


def test_why_tls_fails_towards_a_peer(
    started: Start, archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for name in ("node", "stranger"):
        certificate(tmp_path, name)
    files = {"certificate": str(tmp_path / "node.pem"), "key": str(tmp_path / "node.key")}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "stranger.pem", tmp_path / "stranger.key")
    handlers: list[object] = []
    server = archive._entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers)
    try:
        peers = {
            "STRANGER": {"host": "localhost", "port": server.server_address[1], "tls": True},
            "PLAIN": {"host": "localhost", "port": archive.port, "tls": True},
            "SENDER": {},
        }
        with caplog.at_level(logging.INFO):
            node = started(
                peers=peers, results_to=["STRANGER", "PLAIN"], tls={**files, "authority": files["certificate"]}
            )
            client = ssl.create_default_context(cafile=files["certificate"])
            client.load_cert_chain(files["certificate"], files["key"])
            assert send(node.listener.port, [radiograph()], title="SENDER", tls=(client, "localhost")) == [0]
            until(
                lambda: said(
                    caplog, "to=STRANGER fault=no association (TLS: the peer's certificate: self-signed certificate)"
                )
            )
            until(lambda: said(caplog, "to=PLAIN fault=no association (TLS: "))
    finally:
        server.shutdown()
