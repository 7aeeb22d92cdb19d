"""A node as its peers see it: images in, results out, once each; who is refused, and what is never said."""

from __future__ import annotations

import errno
import json
import logging
import socket
import ssl
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom import AE
from tests.pneumonia.reading_room.node.stand_in import (
    BOX,
    SCORE,
    Archive,
    Model,
    asked,
    certificate,
    echo,
    radiograph,
    send,
    until,
)
from tests.radiographs import image

from pneumonia.reading_room.node import serve
from pneumonia.reading_room.node.records import ticket
from pneumonia.reading_room.node.serve import Node
from pneumonia.reading_room.objects import make

Start = Callable[..., Node]
PATIENT = ("Doe", "Jane", "P1", "19500102", "A7", "1.2.3")  # of tests.radiographs; the last begins every UID


def test_an_echo_is_answered(started: Start):
    assert echo(started().listener.port) == 0


def test_a_chest_image_is_answered_with_report_and_presentation_state(started: Start, archive: Archive):
    node = started()
    assert send(node.listener.port, [radiograph()]) == [0]
    until(lambda: node.queue.books.counts()["answered"] == 1)
    (report,), (state,) = archive.of("SR"), archive.of("PR")
    for made in (report, state):
        assert made.StudyInstanceUID == "1.2.3"
        assert made.PatientID == "P1"
    (drawn,) = state.GraphicAnnotationSequence[0].GraphicObjectSequence
    x, y, width, height = BOX
    assert list(drawn.GraphicData) == [x, y, x + width, y, x + width, y + height, x, y + height, x, y]
    words = [text.UnformattedTextValue for text in state.GraphicAnnotationSequence[0].TextObjectSequence]
    assert words[0] == f"{100 * SCORE:.0f}%"
    for name in ("images", "incoming", "results"):
        assert list((node.queue.folder / name).iterdir()) == []  # nothing of a patient is kept


def test_a_secondary_capture_comes_where_it_is_wanted(started: Start, archive: Archive):
    node = started(capture=True)
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert sorted(made.Modality for made in archive.objects.values()) == ["OT", "PR", "SR"]


def test_an_image_that_comes_twice_is_answered_once(started: Start, archive: Archive):
    node = started()
    assert send(node.listener.port, [radiograph(), radiograph()]) == [0, 0]
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert send(node.listener.port, [radiograph(), radiograph(1)]) == [0, 0]
    until(lambda: node.queue.books.counts()["answered"] == 2)
    assert sorted(archive.came.values()) == [1, 1, 1, 1]


def test_a_second_sender_is_answered_too(started: Start, archive: Archive):
    other = Archive("OTHER")
    try:
        peers = {
            name: {"host": "127.0.0.1", "port": each.port} for name, each in (("ARCHIVE", archive), ("OTHER", other))
        }
        node = started(peers=peers)
        for title in ("ARCHIVE", "OTHER", "OTHER", "ARCHIVE"):
            assert send(node.listener.port, [radiograph()], title=title) == [0]
        until(lambda: node.queue.books.counts()["answered"] == 2)
        assert archive.came == other.came
        assert set(archive.came.values()) == {1}
    finally:
        other.close()


def test_a_corrected_image_is_answered_anew(started: Start, archive: Archive):
    node = started()
    assert send(node.listener.port, [radiograph()]) == [0]
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert send(node.listener.port, [radiograph(PatientID="P2"), radiograph(), radiograph(PatientID="P2")]) == [0] * 3
    until(lambda: node.queue.books.counts()["answered"] == 2)
    assert sorted(made.PatientID for made in archive.of("SR")) == ["P1", "P2"]
    assert set(archive.came.values()) == {1}


@pytest.mark.parametrize("change", ["models", "threshold", "capture", "accept", "host", "nothing"])
def test_what_reads_otherwise_answers_anew(started: Start, archive: Archive, change: str):
    def asked_again(**changes: object) -> Counter[str]:
        node = started(**changes)
        assert send(node.listener.port, [radiograph()]) == [0]
        until(lambda: node.queue.books.counts()["waiting"] == node.queue.books.counts()["answering"] == 0)
        node.stop()
        return archive.came

    assert sorted(asked_again(key="ab").values()) == [1, 1]
    changes: dict[str, object] = {
        "models": {"key": "cd"},
        "threshold": {"threshold": 0.5},
        "capture": {"capture": True},
        "accept": {"accept": {"secondary_capture": True}},
        "host": {"limits": {"free_disk_mib": 0, "seconds": 5}},  # of which no answer depends
        "nothing": {},
    }[change]
    again = {"host": [1, 1], "nothing": [1, 1], "capture": [1, 2, 2]}.get(change, [2, 2])
    assert sorted(asked_again(**{"key": "ab", **changes}).values()) == again


def test_many_images_are_read_in_batches(started: Start, archive: Archive, model: Model):
    node = started(batch=4)
    model.seconds = 0.1
    assert send(node.listener.port, [radiograph(number) for number in range(10)]) == [0] * 10
    until(lambda: node.queue.books.counts()["answered"] == 10)
    assert model.batches[:3] == [1, 2, 4]  # warmed up
    assert max(model.batches[3:]) == 4
    assert sum(model.batches[3:]) == 10
    assert set(archive.came.values()) == {1}


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"ViewPosition": "LL"}, "view: not said to be one of AP, PA"),
        ({"ViewPosition": None}, "view: not said to be one of AP, PA"),
        ({"BodyPartExamined": "KNEE"}, "body_part: not said to show one of CHEST, THORAX"),
        ({"PixelData": b"\7" * 48 * 64}, "constant_pixels"),
        ({"PixelData": b"\7\1" * 8}, "unreadable"),
        ({"Modality": "DOE"}, "wrong_modality"),
        ({"PhotometricInterpretation": "JANE.DOE"}, "colour"),
        ({"Rows": 0}, "unreadable"),
    ],
)
def test_what_cannot_be_judged_is_logged_and_not_answered(
    started: Start, archive: Archive, caplog: pytest.LogCaptureFixture, elements: dict[str, object], reason: str
):
    node = started()
    with caplog.at_level(logging.INFO):
        assert send(node.listener.port, [radiograph(7, **elements)]) == [0]
        until(lambda: f"not read image={ticket('1.2.3.4.7')} from=ARCHIVE reason={reason}" in caplog.messages)
    assert node.queue.books.counts()["refused"] == 1
    assert archive.came == {}


def test_an_image_on_which_the_model_fails_does_not_take_others_with_it(
    started: Start, archive: Archive, model: Model, caplog: pytest.LogCaptureFixture
):
    node = started()
    model.fails.add(ticket("1.2.3.4.1"))
    with caplog.at_level(logging.INFO):
        send(node.listener.port, [radiograph(number) for number in range(3)])
        until(lambda: node.queue.books.counts()["answered"] == 2)
        said = f"not read image={ticket('1.2.3.4.1')} from=ARCHIVE reason=not read in 3 tries"
        until(lambda: said in caplog.messages)
    assert len(archive.came) == 4


def test_nothing_of_a_patient_is_logged(
    started: Start, archive: Archive, model: Model, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    node = started()
    model.fails.add(ticket("1.2.3.4.1"))
    archive.status = 0xC000
    with caplog.at_level(logging.DEBUG):
        wrong = image(ViewPosition="Doe^Jane", BodyPartExamined="Doe^Jane", SOPInstanceUID="1.2.3.4.9")
        send(
            node.listener.port, [radiograph(0), radiograph(1), wrong, b"\0" * 128 + b"DICM" + radiograph(3)[132:-3000]]
        )
        echo(node.listener.port, title="STRANGER")
        until(lambda: node.queue.books.counts()["refused"] >= 2 and node.queue.books.counts()["answering"] == 1)
        until(lambda: any("not sent" in message for message in caplog.messages))
        archive.status = 0
        until(lambda: node.queue.books.counts()["answered"] == 1)
    said = "\n".join([*caplog.messages, *capfd.readouterr()])
    assert "not sent" in said
    assert [word for word in PATIENT if word in said] == []


def test_strangers_are_refused(started: Start):
    port = started().listener.port
    assert echo(port, title="STRANGER") == -1
    assert echo(port, called="OTHER") == -1
    assert send(port, [radiograph()], title="STRANGER") == [-1]
    assert echo(port) == 0


def test_other_kinds_of_objects_are_refused(started: Start):
    entity = AE("ARCHIVE")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2")  # CT
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", started().listener.port, ae_title="PNEUMONIA")
    assert [context.abstract_syntax for context in association.accepted_contexts] == ["1.2.840.10008.1.1"]
    association.release()


def test_a_full_queue_tells_senders_to_come_again(started: Start, model: Model):
    node = started(limits={"waiting": 2, "free_disk_mib": 0})
    model.seconds = 1.0
    statuses = send(node.listener.port, [radiograph(number) for number in range(8)])
    assert statuses[:2] == [0, 0]
    assert 0xA700 in statuses
    assert set(statuses) == {0, 0xA700}
    model.seconds = 0.0
    until(lambda: node.queue.books.counts()["answered"] == statuses.count(0))


def test_a_full_disk_tells_senders_to_come_again(started: Start):
    node = started(limits={"free_disk_mib": 2**30})
    assert send(node.listener.port, [radiograph()]) == [0xA700]
    with pytest.raises(urllib.error.HTTPError) as caught:
        asked(node, "health")
    assert caught.value.code == 503
    assert json.load(caught.value)["faults"] == ["disk is full"]
    assert list(node.queue.incoming.iterdir()) == []


def test_results_wait_for_a_peer_that_is_away(started: Start, archive: Archive):
    archive.close()
    node = started()
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["answering"] == 1)
    again = Archive(port=archive.port)
    try:
        until(lambda: node.queue.books.counts()["answered"] == 1)
        assert len(again.came) == 2
    finally:
        again.close()


def test_a_peer_that_never_takes_its_results_is_given_up(started: Start, archive: Archive):
    archive.status = 0xA700
    node = started(delivery={"first_pause": 0.1, "give_up_hours": 0.5 / 3600})
    send(node.listener.port, [radiograph()])
    until(lambda: 'pneumonia_results_total{outcome="given up"} 2.0' in asked(node, "metrics"))
    assert node.queue.books.counts()["undelivered"] == 1
    assert list((node.queue.folder / "results").iterdir()) == []


def test_a_full_disk_costs_no_image(started: Start, archive: Archive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "AGAIN_AFTER", 0.1)
    full = True

    def write(*arguments: object) -> object:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return known(*arguments)

    known = make.write
    monkeypatch.setattr(make, "write", write)
    node = started()
    assert send(node.listener.port, [radiograph(0), radiograph(1)]) == [0, 0]
    until(lambda: node.health()["faults"] == ["reader has failed"])
    time.sleep(1.0)  # more tries than an image has
    full = False
    until(lambda: node.queue.books.counts()["answered"] == 2)
    assert set(archive.came.values()) == {1}


def test_a_model_that_fails_on_everything_costs_no_image(
    started: Start, archive: Archive, model: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serve, "AGAIN_AFTER", 0.1)
    node = started()
    model.fails |= {"blank", *(ticket(f"1.2.3.4.{number}") for number in range(3))}
    send(node.listener.port, [radiograph(number) for number in range(3)])
    until(lambda: node.health()["faults"] == ["reader has failed"])
    time.sleep(1.0)
    assert node.queue.books.counts()["waiting"] == 3
    model.fails.clear()
    until(lambda: node.queue.books.counts()["answered"] == 3)


def test_a_receiver_that_falls_silent_holds_up_nothing_for_long(
    started: Start, archive: Archive, caplog: pytest.LogCaptureFixture
):
    with socket.create_server(("127.0.0.1", 0)) as silent, caplog.at_level(logging.INFO):
        peers = {
            "ARCHIVE": {"host": "127.0.0.1", "port": archive.port},
            "SILENT": {"host": "127.0.0.1", "port": silent.getsockname()[1]},
        }
        node = started(peers=peers, results_to=["ARCHIVE", "SILENT"], limits={"seconds": 1, "free_disk_mib": 0})

        def half_an_answer() -> None:
            connection, _ = silent.accept()
            connection.recv(10_000)
            connection.sendall(b"\2\0\0\0\0\xff half")  # an A-ASSOCIATE-AC of 255 bytes
            connections.append(connection)

        connections: list[socket.socket] = []
        threading.Thread(target=half_an_answer, daemon=True).start()
        send(node.listener.port, [radiograph()])
        until(lambda: len(archive.came) == 2)
        until(lambda: any("to=SILENT fault=no association" in message for message in caplog.messages))
        node.stop()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("courier")]
        for connection in connections:
            connection.close()


def test_a_fault_while_storing_tells_the_sender_to_come_again(
    started: Start, archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    node = started()
    with monkeypatch.context() as patched, caplog.at_level(logging.INFO):
        patched.setattr(node.queue, "accept", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
        assert send(node.listener.port, [radiograph()]) == [0xA700]
    assert "not stored from='ARCHIVE' error=OSError" in caplog.messages
    until(lambda: list(node.queue.incoming.iterdir()) == [])
    assert send(node.listener.port, [radiograph()]) == [0]
    until(lambda: node.queue.books.counts()["answered"] == 1)


def test_results_go_to_named_peers(started: Start, archive: Archive):
    other = Archive("OTHER")
    try:
        peers = {
            "MODALITY": {},
            "ARCHIVE": {"host": "127.0.0.1", "port": archive.port},
            "OTHER": {"host": "127.0.0.1", "port": other.port},
        }
        node = started(peers=peers, results_to=["ARCHIVE", "OTHER"])
        assert send(node.listener.port, [radiograph()], title="MODALITY") == [0]
        until(lambda: node.queue.books.counts()["answered"] == 1)
        assert archive.came == other.came
        assert len(archive.came) == 2
    finally:
        other.close()


def test_results_wait_for_a_peer_that_the_settings_forgot(
    started: Start, archive: Archive, caplog: pytest.LogCaptureFixture
):
    archive.close()
    node = started()
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["answering"] == 1)
    node.stop()
    with caplog.at_level(logging.INFO):
        other = started(peers={"ARCHIVES": {"host": "127.0.0.1", "port": 1}})
    assert "results=2 wait for ARCHIVE, which the settings give no address" in caplog.messages
    other.stop()
    again = Archive(port=archive.port)
    try:
        node = started()
        until(lambda: node.queue.books.counts()["answered"] == 1)
    finally:
        again.close()


def test_health_and_metrics(started: Start):
    node = started()
    send(node.listener.port, [radiograph(), radiograph(1, ViewPosition="LL")])
    until(lambda: node.queue.books.counts()["answered"] == node.queue.books.counts()["refused"] == 1)
    said = json.loads(asked(node, "health"))
    assert said["healthy"] is True
    assert said["images"] == {
        "answered": 1, "answering": 0, "failed": 0, "refused": 1, "undelivered": 0, "waiting": 0
    }  # fmt: skip
    assert said["outcomes"] == {
        "positive": 1, "negative": 0, "not analysed": 1, "failed": 0, "pending": 0, "unknown": 0
    }  # fmt: skip
    assert said["waiting_for"] == {}
    until(lambda: "pneumonia_answer_seconds_count 1.0" in asked(node, "metrics"))
    metrics = asked(node, "metrics")
    for line in (
        'pneumonia_received_total{outcome="accepted"} 2.0',
        'pneumonia_read_total{outcome="read"} 1.0',
        'pneumonia_read_total{outcome="view"} 1.0',
        'pneumonia_results_total{outcome="sent"} 2.0',
        'pneumonia_images{state="waiting"} 0.0',
        'pneumonia_outcomes{outcome="positive"} 1.0',
        'pneumonia_outcomes{outcome="negative"} 0.0',
        'pneumonia_outcomes{outcome="not analysed"} 1.0',
        'pneumonia_outcomes{outcome="failed"} 0.0',
        'pneumonia_outcomes{outcome="pending"} 0.0',
    ):
        assert line in metrics


def test_over_tls(started: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for name in ("node", "stranger"):
        certificate(tmp_path, name)
    certificate(tmp_path, "expired", days=-1)
    (tmp_path / "authority.pem").write_text(
        (tmp_path / "node.pem").read_text() + (tmp_path / "expired.pem").read_text()
    )
    files = {"certificate": str(tmp_path / "node.pem"), "key": str(tmp_path / "node.key")}
    node = started(tls={**files, "authority": str(tmp_path / "authority.pem")})

    def client(name: str, trusted: str = "node") -> tuple[ssl.SSLContext, str]:
        context = ssl.create_default_context(cafile=tmp_path / f"{trusted}.pem")
        context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        return context, "localhost"

    def failed(reason: str) -> bool:
        return f"no TLS from=127.0.0.1 reason={reason} times=1" in caplog.messages

    with caplog.at_level(logging.INFO):
        assert send(node.listener.port, [radiograph()], tls=client("node")) == [0]
        assert send(node.listener.port, [radiograph(1)], tls=client("stranger")) == [-1]
        until(lambda: failed("the peer's certificate: self-signed certificate"))
        assert send(node.listener.port, [radiograph(1)], tls=client("expired")) == [-1]
        until(lambda: failed("the peer's certificate: certificate has expired"))
        assert send(node.listener.port, [radiograph(1)], tls=client("node", trusted="stranger")) == [-1]
        until(lambda: failed("the peer says: tlsv1 alert unknown ca"))
        for _ in range(3):
            assert echo(node.listener.port) == -1  # without TLS
        until(lambda: failed("the peer does not speak TLS (wrong version number)"))
        assert send(node.listener.port, [radiograph(2)], tls=client("node")) == [0]
    until(lambda: "pneumonia_tls_failures 6.0" in asked(node, "metrics"))
    assert len([message for message in caplog.messages if message.startswith("no TLS")]) == 4
