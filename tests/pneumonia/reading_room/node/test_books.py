"""What the books say of images."""

from __future__ import annotations

import time

import pytest
from tests.pneumonia.reading_room.node.queued import ONE, put, write

from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket


def test_the_books_are_read_page_by_page(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    moments = iter([1.0, 2.0, 2.0, 3.0])
    monkeypatch.setattr(time, "time", lambda: next(moments, 9.0))
    names = [ticket(f"1.{number}") for number in range(4)]
    for name in names:
        put(queue, name)
    queue.refuse(names[0], "view: a knee")
    pages: list[str] = []
    before = None
    while page := queue.books.rows(limit=2, before=before):
        pages += [row.ticket for row in page]
        before = page[-1].received, page[-1].ticket
    assert pages == [names[3], *sorted(names[1:3], reverse=True), names[0]]
    (row,) = queue.books.rows("refused")
    assert (row.ticket, row.reason, row.outcome, row.finished) == (names[0], "view: a knee", "not analysed", 9.0)
    assert queue.books.rows(outcome="not analysed") == [row] == [queue.books.row(names[0])]
    assert queue.books.row(ticket("1.9")) is None


def test_a_row_says_what_waits_where(queue: Queue):
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, ["A", "B"], outcome="positive")
    queue.outbox.delivered(queue.outbox.due("A", 1)[0])
    row = queue.books.row(ONE)
    assert row is not None
    assert (row.receivers, row.waiting, row.image, row.results) == (("A", "B"), {"A": 1, "B": 2}, False, True)
    queue.outbox.give_up(queue.outbox.due("A", 1)[0], "status 0xA900")
    for parcel in queue.outbox.due("B", 9):
        queue.outbox.delivered(parcel)
    row = queue.books.row(ONE)
    assert row is not None
    assert (row.state, row.outcome, row.fault, row.waiting) == ("undelivered", "positive", "status 0xA900", {})
