"""Images that are done with: how long their files and their rows stay."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.pneumonia.reading_room.node.queued import ONE, TWO, put, to_a, write

from pneumonia.reading_room.node.ended import Keep
from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket


def test_an_image_that_ended_long_ago_is_forgotten(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    put(queue)
    put(queue, TWO)
    queue.refuse(ONE, "a knee")
    assert queue.ended.forget(30) == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * 86_400)
    assert queue.ended.forget(30) == 1
    assert put(queue)
    assert [image.ticket for image in queue.take(5)] == [TWO, ONE]  # what waits is never forgotten


@pytest.mark.parametrize(("images", "results"), [(0.0, 0.0), (2.0, 0.0), (0.0, 2.0), (2.0, 2.0)])
def test_files_stay_as_long_as_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: float, results: float
):
    keep = Keep(images=images, results=results)
    queue = to_a(tmp_path / "node", keep=keep)
    put(queue)
    put(queue, TWO)
    queue.take(9)
    queue.answer(ONE, write, ["A"])
    for parcel in queue.outbox.due("A", 9):
        queue.outbox.delivered(parcel)
    queue.refuse(TWO, "a knee")
    queue.close()
    queue = to_a(tmp_path / "node", keep=keep)  # a start sweeps nothing of it
    assert [queue.disk.kept_image(name) is not None for name in (ONE, TWO)] == [images > 0] * 2
    assert [path.name for path in queue.disk.kept_results(ONE)] == (
        ["result.pr.dcm", "result.sr.dcm"] if results else []
    )
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1.9 * 86_400)
    queue.ended.forget(30)
    assert (queue.disk.kept_image(ONE) is not None, bool(queue.disk.kept_results(ONE))) == (images > 0, results > 0)
    monkeypatch.setattr(time, "time", lambda: now + 2.1 * 86_400)
    assert queue.ended.forget(30) == 0
    assert (queue.disk.kept_image(ONE), queue.disk.kept_results(ONE)) == (None, [])
    assert queue.books.counts()["answered"] == 1  # known all the same
    assert not put(queue)
    queue.close()
    to_a(tmp_path / "node").close()  # the settings keep nothing now
    assert [path.name for name in ("images", "results") for path in (tmp_path / "node" / name).iterdir()] == []


def test_what_is_kept_makes_room(tmp_path: Path):
    queue = to_a(tmp_path / "node", keep=Keep(images=1, results=1))
    names = [ticket(f"1.{number}") for number in range(4)]
    for name in names:
        put(queue, name)
    queue.take(9)
    for name in names[:3]:
        queue.answer(name, write, ["A"])
    for parcel in queue.outbox.due("A", 9):
        if parcel.ticket != names[2]:
            queue.outbox.delivered(parcel)
    assert queue.ended.drop_kept(lambda: True) == 0
    assert queue.ended.drop_kept(lambda: queue.disk.kept_image(names[0]) is None) == 1
    assert queue.ended.drop_kept(lambda: False) == 1
    assert [queue.disk.kept_image(name) is not None for name in names] == [False, False, True, True]
    assert len(queue.outbox.due("A", 9)) == len(queue.disk.kept_results(names[2])) == 2  # those that wait stay
    queue.close()
