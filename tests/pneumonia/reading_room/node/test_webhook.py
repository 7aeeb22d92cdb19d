"""Alerts as the address gets them: what they say, when they come again, and that nothing waits for them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.pneumonia.reading_room.node.queued import ONE, put, write
from tests.pneumonia.reading_room.node.stand_in import Archive, Model, radiograph, send, until

from pneumonia.reading_room.node import health, serve, webhook
from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket
from pneumonia.reading_room.node.settings import Settings
from pneumonia.reading_room.node.webhook import Alerts
from pneumonia.reading_room.reader import Reader

ALL = ("failed", "undelivered", "peer_away", "disk_full", "models_failing")


class Pager:
    """Takes alerts; `statuses` are its next answers, then 200."""

    def __init__(self) -> None:
        self.came: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.statuses: list[int] = []
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = pager.statuses.pop(0) if pager.statuses else 200
                if status == 200:
                    pager.came.append(body)
                    pager.tokens.append(self.headers["Authorization"])
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """No line."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/alerts"


@pytest.fixture
def pager() -> Iterator[Pager]:
    made = Pager()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(webhook, "LOOK_EVERY", 0.05)


def alerts(queue: Queue, pager: Pager, conditions: dict[tuple[str, str], dict[str, Any]], **changes: Any) -> Alerts:
    known: dict[str, Any] = {
        "title": "PNEUMONIA",
        "url": pager.url,
        "events": ALL,
        "token_file": "",
        "conditions": lambda: dict(conditions),
        "stop": threading.Event(),
    }
    return Alerts(queue.books, **{**known, **changes})


def failed(queue: Queue) -> None:
    put(queue)
    queue.take(1)
    queue.fail(ONE, "not read in 3 tries")


def test_an_image_that_was_given_up_is_alerted_once(queue: Queue, pager: Pager):
    failed(queue)
    own = alerts(queue, pager, {})
    own.step()
    own.step()
    (said,) = pager.came
    moment = said.pop("time")
    assert abs(time.mktime(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())) < 5
    assert said == {
        "node": "PNEUMONIA",
        "event": "failed",
        "count": 1,
        "images": [
            {"ticket": ONE, "state": "failed", "outcome": "failed", "reason": "not read in 3 tries", "tries": 1}
        ],
    }
    alerts(queue, pager, {}).step()  # as after a restart
    assert len(pager.came) == 1
    put(queue)  # it is sent again, and fails again
    queue.fail(ONE, "not read in 3 tries")
    own.step()
    assert len(pager.came) == 2


def test_results_that_nobody_took_are_alerted(queue: Queue, pager: Pager):
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, ["A"])
    own = alerts(queue, pager, {})
    own.step()
    for parcel in queue.outbox.due("A", 5):
        queue.outbox.give_up(parcel, "status 0xA700")
    own.step()
    (said,) = pager.came
    assert (said["event"], said["count"]) == ("undelivered", 1)
    assert said["images"][0]["reason"] == "status 0xA700"


def test_what_is_wrong_is_alerted_when_it_begins_and_when_it_has_ended(queue: Queue, pager: Pager):
    conditions: dict[tuple[str, str], dict[str, Any]] = {("peer_away", "PACS"): {"peer": "PACS", "results": 2}}
    own = alerts(queue, pager, conditions)
    own.step()
    conditions["disk_full", ""] = {}
    own.step()
    own.step()
    conditions.clear()
    own.step()
    said = [(each["event"], each["condition"], each.get("peer")) for each in pager.came]
    assert said[:2] == [("peer_away", "began", "PACS"), ("disk_full", "began", None)]
    assert sorted(map(str, said[2:])) == ["('disk_full', 'ended', None)", "('peer_away', 'ended', 'PACS')"]


def test_only_the_events_that_are_wanted(queue: Queue, pager: Pager):
    failed(queue)
    alerts(queue, pager, {("disk_full", ""): {}}, events=("disk_full",)).step()
    assert [each["event"] for each in pager.came] == ["disk_full"]


def test_a_token_goes_along(queue: Queue, pager: Pager, tmp_path: Path):
    (tmp_path / "token").write_text("secret\n")
    failed(queue)
    alerts(queue, pager, {}, token_file=str(tmp_path / "token")).step()
    assert pager.tokens == ["Bearer secret"]
    with pytest.raises(FileNotFoundError):
        alerts(queue, pager, {}, token_file=str(tmp_path / "none"))


def test_an_alert_is_tried_again_and_given_up(queue: Queue, pager: Pager, caplog: pytest.LogCaptureFixture):
    failed(queue)
    pager.statuses = [500, 302]
    own = alerts(queue, pager, {})
    own.step()
    assert len(pager.came) == 1  # at the third try, and no redirect is followed
    put(queue)
    queue.fail(ONE, "not read in 3 tries")
    pager.statuses = [500, 500, 500]
    own.step()
    own.step()
    assert len(pager.came) == 1
    assert "alert given up event=failed fault=status 500" in caplog.messages


def test_what_was_not_sent_when_the_node_ended_is_sent_by_the_next(queue: Queue, pager: Pager):
    failed(queue)
    stop = threading.Event()
    pager.statuses = [500]
    stop.set()
    alerts(queue, pager, {}, stop=stop).serve()
    assert pager.came == []
    alerts(queue, pager, {}).step()
    assert len(pager.came) == 1


def test_many_images_are_one_alert(queue: Queue, pager: Pager):
    for number in range(120):
        put(queue, ticket(f"9.{number}"))
        queue.fail(ticket(f"9.{number}"), "not read in 3 tries")
    own = alerts(queue, pager, {})
    own.step()
    own.step()
    (said,) = pager.came
    assert (said["count"], len(said["images"])) == (120, 100)


def test_a_node_alerts_and_waits_for_nobody(
    started: Callable[..., serve.Node],
    archive: Archive,
    model: Model,
    pager: Pager,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(health, "FAILED_FOR", 0.5)
    monkeypatch.setattr(serve, "AGAIN_AFTER", 0.1)
    node = started(webhook={"url": pager.url})
    model.fails |= {"blank", ticket("1.2.3.4.1")}
    assert send(node.listener.port, [radiograph(1)]) == [0]
    until(lambda: [(each["event"], each.get("condition")) for each in pager.came] == [("models_failing", "began")])
    model.fails.remove("blank")
    until(lambda: len(pager.came) == 3)
    assert {(each["event"], each.get("condition")) for each in pager.came[1:]} == {
        ("models_failing", "ended"),
        ("failed", None),
    }
    assert node.health()["faults"] == ["images given up in the last 24 hours: 1"]
    pager.statuses = [500] * 1000
    model.fails = {ticket("1.2.3.4.2")}
    assert send(node.listener.port, [radiograph(2), radiograph(3)]) == [0, 0]
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert "Doe" not in json.dumps(pager.came) + caplog.text


def test_a_peer_that_is_away_is_alerted(started: Callable[..., serve.Node], archive: Archive, pager: Pager):
    archive.close()
    node = started(webhook={"url": pager.url}, health={"peer_away_minutes": 1 / 600})
    assert send(node.listener.port, [radiograph(1)]) == [0]
    until(lambda: len(pager.came) == 1)
    assert (pager.came[0]["event"], pager.came[0]["peer"]) == ("peer_away", "ARCHIVE")
    assert node.health()["faults"] == ["results that ARCHIVE does not take: 2"]
    again = Archive(port=archive.port)
    try:
        until(lambda: len(pager.came) == 2)
        assert pager.came[1]["condition"] == "ended"
        assert node.health()["healthy"]
    finally:
        again.close()


def test_models_that_cannot_be_loaded_are_alerted_before_the_node_ends(tmp_path: Path, pager: Pager):
    def load(**options: object) -> Reader:
        raise ValueError("damaged")

    settings = {
        "host": "127.0.0.1",
        "port": 0,
        "folder": str(tmp_path / "node"),
        "peers": {"A": {"host": "127.0.0.1", "port": 104}},
        "status": {"port": 0},
        "limits": {"free_disk_mib": 0},
        "webhook": {"url": pager.url},
    }
    node = serve.Node(Settings.model_validate(settings), load)
    node.start()
    assert node.ended.wait(20)
    node.stop()
    assert [(said["event"], said["condition"]) for said in pager.came] == [("models_failing", "began")]
