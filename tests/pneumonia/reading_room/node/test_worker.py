"""The worker without a network: what becomes of an image in the queue, whatever its file or the making of its results does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from tests.pneumonia.reading_room.node.stand_in import WINDOW, Model, radiograph

from pneumonia.reading_room.admission import check
from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket
from pneumonia.reading_room.node.settings import Accept
from pneumonia.reading_room.node.worker import UnreadableFile, Worker
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


def worker(queue: Queue, counted: list[str], model: Model | None = None, **options: Any) -> Worker:
    return Worker(
        queue,
        Reader(
            predict=model or Model(),
            window=WINDOW,
            threshold=0.25,
            max_boxes=4,
            algorithm=Algorithm("1.2.3", "ab" * 32, "gate"),
            admit=lambda data, name: check(data, **Accept().values()),
        ),
        receivers=lambda sender: [sender],
        batch=4,
        count=lambda outcome, seconds: counted.append(outcome),
        stop=threading.Event(),
        **options,
    )


def test_a_batch_is_answered_and_what_cannot_be_read_refused(queue: Queue, caplog: pytest.LogCaptureFixture):
    counted: list[str] = []
    accept(queue, 0)
    accept(queue, 1, b"Doe^Jane")
    accept(queue, 2, radiograph(2, StudyInstanceUID=""))  # can be read, but no object can refer to it
    with caplog.at_level(logging.INFO):
        assert worker(queue, counted).step() == 3
    assert counted == ["unreadable", "read", "unreadable"]
    assert (queue.books.counts()["answering"], queue.books.counts()["refused"]) == (1, 2)
    assert sorted(parcel.path.name for parcel in queue.outbox.due("ARCHIVE", 9)) == ["result.pr.dcm", "result.sr.dcm"]
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
            assert queue.books.counts()["waiting"] == left
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
    assert queue.books.counts()["answering"] == 1


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
    assert queue.books.counts()["answering"] == 1


@pytest.mark.parametrize(
    ("kinds", "files"),
    [
        ((), []),
        (("sr",), ["result.sr.dcm"]),
        (("sc",), ["result.sc.dcm"]),
        (("sr", "sc"), ["result.sc.dcm", "result.sr.dcm"]),
    ],
)
def test_an_image_without_findings_is_answered_as_the_settings_say(
    queue: Queue, kinds: tuple[str, ...], files: list[str], caplog: pytest.LogCaptureFixture
):
    model = Model()
    model.fails.add(ticket("1.2.3.4.3"))
    accept(queue, 0)
    accept(queue, 1, radiograph(1, ViewPosition="LL"))  # not to be read
    accept(queue, 2, radiograph(2, PixelData=b"\7\1" * 8))  # cannot be
    accept(queue, 3)  # given up
    accept(queue, 4, b"Doe^Jane")  # names no image that an object could refer to
    own = worker(queue, [], model, not_analysed=kinds)
    with caplog.at_level(logging.INFO):
        while own.step():
            pass
    rows = [queue.books.row(ticket(f"1.2.3.4.{n}")) for n in range(5)]
    assert [(row.outcome, row.reason) for row in rows if row] == [
        ("positive", ""),
        ("not analysed", "view: not said to be one of AP, PA"),
        ("not analysed", "unreadable"),
        ("failed", "not read in 3 tries"),
        ("not analysed", "unreadable"),
    ]
    for number, ended in ((1, "refused"), (2, "refused"), (3, "failed")):
        name = ticket(f"1.2.3.4.{number}")
        parcels = [parcel for parcel in queue.outbox.due("ARCHIVE", 99) if parcel.ticket == name]
        assert sorted(parcel.path.name for parcel in parcels) == files
        assert rows[number].state == ("answering" if files else ended)
        for parcel in parcels:
            made = dcmread(parcel.path)
            assert made.StudyInstanceUID == "1.2.3"
            if made.Modality == "SR":
                texts = [item.TextValue for item in made.ContentSequence if "TextValue" in item]
                assert any(rows[number].reason in text for text in texts)
            queue.outbox.delivered(parcel)
        assert queue.books.row(name).state == ended  # and no "answered"
    assert queue.books.row(ticket("1.2.3.4.4")).state == "refused"
    line = f"no answer image={ticket('1.2.3.4.4')} from=ARCHIVE reason=unreadable: not a DICOM file (no DICM marker)"
    assert (line in caplog.messages) == bool(kinds)
    assert "Doe" not in caplog.text


def test_an_image_that_kills_the_process_at_its_last_answer_is_given_up(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    asked: list[bytes] = []

    def dies(data: bytes, *arguments: object, **options: object) -> None:
        asked.append(data)
        raise SystemExit

    monkeypatch.setattr(make, "not_analysed", dies)
    accept(queue)
    for _ in range(3):
        queue.take(1)
    own = worker(queue, [], not_analysed=("sr",))
    with pytest.raises(SystemExit):
        own.step()
    assert own.step() == 1
    assert (queue.books.counts()["failed"], len(asked)) == (1, 1)


@pytest.mark.parametrize("data", [radiograph(0, ViewPosition="LL"), radiograph(0)])
def test_a_disk_that_fails_costs_no_try_of_any_image(queue: Queue, monkeypatch: pytest.MonkeyPatch, data: bytes):
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    accept(queue, 0, data)
    accept(queue, 1)
    own = worker(queue, [], not_analysed=("sr",))
    with monkeypatch.context() as patched:
        patched.setattr(make, "write", fail)
        for _ in range(5):
            with pytest.raises(OSError, match="No space"):
                own.step()
    assert own.step() == 2
    assert queue.books.counts()["answering"] == 2


def test_an_image_whose_file_is_gone_holds_up_no_other(queue: Queue):
    accept(queue, 0)
    accept(queue, 1)
    (queue.folder / "images" / f"{NAME}.dcm").unlink()
    assert worker(queue, []).step() == 2
    assert (queue.books.counts()["failed"], queue.books.counts()["answering"]) == (1, 1)


def test_a_file_that_cannot_be_read_is_given_up_and_holds_up_no_other(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    read_bytes = Path.read_bytes

    def fails(path: Path) -> bytes:
        if path.stem == NAME:
            raise OSError(5, "Input/output error")
        return read_bytes(path)

    accept(queue, 0)
    accept(queue, 1)
    own = worker(queue, [])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fails)
        for _ in range(3):
            with pytest.raises(UnreadableFile):
                own.step()
        assert own.step() == 1
        assert own.step() == 1
    assert (queue.books.counts()["failed"], queue.books.counts()["answering"]) == (1, 1)
    row = queue.books.row(NAME)
    assert row is not None
    assert row.reason == "its file cannot be read (OSError)"
