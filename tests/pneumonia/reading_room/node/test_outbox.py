"""Results that wait: when they are tried again, and what becomes of an image whose results nobody takes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.pneumonia.reading_room.node.queued import ONE, put, to_a, write

from pneumonia.reading_room.node.ended import Keep
from pneumonia.reading_room.node.queue import Queue


def test_results_that_cannot_be_sent_wait_longer_and_longer(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, ["A"])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    (parcel,) = queue.outbox.due("A", 1)
    queue.outbox.postpone(parcel, 10)
    assert [each.path.name for each in queue.outbox.due("A", 5)] == ["result.pr.dcm"]
    now += 11
    assert {each.path.name: each.tries for each in queue.outbox.due("A", 5)} == {"result.pr.dcm": 0, "result.sr.dcm": 1}
    assert {each.path.name: each.failing for each in queue.outbox.due("A", 5)} == {
        "result.pr.dcm": None,
        "result.sr.dcm": now - 11,
    }
    queue.outbox.postpone(parcel, 0)
    assert queue.outbox.due("A", 5)[1].failing == now - 11  # since the first time


def test_one_result_given_up_leaves_the_image_undelivered(queue: Queue):
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, ["A"])
    first, second = queue.outbox.due("A", 5)
    queue.outbox.give_up(first, "status 0xA700")
    assert not queue.outbox.delivered(second)  # not in full
    assert queue.books.counts()["undelivered"] == 1


def test_results_for_nobody_are_said_to_be_undelivered(queue: Queue):
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, [])
    assert queue.books.counts()["undelivered"] == 1
    assert list((queue.folder / "results").iterdir()) == []


def test_results_for_nobody_may_be_kept_to_be_looked_at(tmp_path: Path):
    queue = to_a(tmp_path / "node", keep=Keep(results=1), receivers=lambda sender: [])
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, [])
    assert queue.books.counts()["answered"] == 1
    assert len(queue.disk.kept_results(ONE)) == 2
    queue.close()
