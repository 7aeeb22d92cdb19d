"""The worker without a network: what becomes of an image in the queue, whatever its file or the making of its results does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pneumonia.reading_room.node.stand_in import WINDOW, Model, radiograph

from pneumonia.reading_room.node.queue import Queue, ticket
from pneumonia.reading_room.node.worker import Worker
from pneumonia.reading_room.objects import make
from pneumonia.reading_room.objects.findings import Algorithm
from pneumonia.reading_room.reader import Reader

NAME = ticket("1.2.3.4.0")


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path / "node")
    yield made
    made.close()


def accept(queue: Queue, number: int = 0, data: bytes | None = None) -> None:
    path = queue.incoming / str(number)
    path.write_bytes(radiograph(number) if data is None else data)
    queue.accept(ticket(f"1.2.3.4.{number}"), path, "ARCHIVE")


def worker(queue: Queue, counted: list[str]) -> Worker:
    return Worker(
        queue,
        Reader(
            predict=Model(), window=WINDOW, threshold=0.25, max_boxes=4, algorithm=Algorithm("1.2.3", "ab" * 32, "gate")
        ),
        receivers=lambda sender: [sender],
        batch=4,
        count=lambda outcome, seconds: counted.append(outcome),
        stop=threading.Event(),
    )


def test_a_batch_is_answered_and_what_cannot_be_read_refused(queue: Queue, caplog: pytest.LogCaptureFixture):
    counted: list[str] = []
    accept(queue, 0)
    accept(queue, 1, b"Doe^Jane")
    accept(queue, 2, radiograph(2, StudyInstanceUID=""))  # can be read, but no object can refer to it
    with caplog.at_level(logging.INFO):
        assert worker(queue, counted).step() == 3
    assert counted == ["unreadable", "read", "unreadable"]
    assert (queue.counts()["answering"], queue.counts()["refused"]) == (1, 2)
    assert sorted(parcel.path.name for parcel in queue.due("ARCHIVE", 9)) == ["result.pr.dcm", "result.sr.dcm"]
    assert f"not read image={ticket('1.2.3.4.1')} from=ARCHIVE reason=unreadable" in caplog.messages
    assert "Doe" not in caplog.text
    assert worker(queue, counted).step() == 0


def test_objects_that_cannot_be_made_are_tried_three_times(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(make, "make", fail)
    accept(queue)
    counted: list[str] = []
    own = worker(queue, counted)
    with caplog.at_level(logging.INFO):
        for left in (1, 1, 1, 0):
            assert own.step() == 1
            assert queue.counts()["waiting"] == left
    assert caplog.messages == [
        *[f"failed image={NAME} error=RuntimeError"] * 3,
        f"not read image={NAME} from=ARCHIVE reason=not read in 3 tries",
    ]
    assert counted == ["failed"]


def test_too_little_memory_is_tried_again(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    accept(queue)
    own = worker(queue, [])
    with monkeypatch.context() as patched:
        patched.setattr(Reader, "read", fail)
        assert own.step() == 1
    assert own.step() == 1
    assert queue.counts()["answering"] == 1


def test_a_disk_that_fails_costs_no_try(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    accept(queue)
    own = worker(queue, [])
    with monkeypatch.context() as patched:
        patched.setattr(make, "write", fail)
        for _ in range(5):
            with pytest.raises(OSError, match="No space"):
                own.step()
    assert own.step() == 1
    assert queue.counts()["answering"] == 1
