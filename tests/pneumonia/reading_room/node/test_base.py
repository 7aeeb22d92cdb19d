"""One lock for all hands at a queue."""

from __future__ import annotations

import threading

from tests.pneumonia.reading_room.node.queued import put, write

from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket


def test_commands_and_node_take_turns(queue: Queue):
    """Two hands at one folder: each change is whole, and none waits for ever."""
    other = Queue(queue.folder, beside=True, receivers=lambda sender: ["A"])
    names = [ticket(f"7.{number}") for number in range(40)]
    for name in names:
        put(queue, name)

    def read() -> None:
        while images := queue.take(3):
            for image in images:
                queue.answer(image.ticket, write, ["A"])

    def drop() -> None:
        for name in names:
            other.ended.drop(name, force=True)

    threads = [threading.Thread(target=read), threading.Thread(target=drop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert queue.books.rows() == []
    assert queue.outbox.debts() == {}
    assert [path for name in ("images", "results") for path in (queue.folder / name).iterdir()] == []
    other.close()
