"""The queue on disk: whatever moment a process dies at, the next one finds each accepted image once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumonia.reading_room.node import queue as module
from pneumonia.reading_room.node.ended import Keep
from pneumonia.reading_room.node.queue import MAX_TRIES, Queue
from pneumonia.reading_room.node.records import Parcel, image_of, ticket
from pneumonia.reading_room.node.tables import STATES

ONE, TWO = ticket("1.2.3"), ticket("1.2.4")


def to_a(folder: Path, **options: Any) -> Queue:
    return Queue(folder, **{"receivers": lambda sender: ["A"], **options})


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = to_a(tmp_path / "node")
    yield made
    made.close()


def put(queue: Queue, name: str = ONE, content: bytes = b"image") -> bool:
    return queue.accept(name, incoming(queue, content), "SENDER").new


def incoming(queue: Queue, content: bytes = b"image") -> Path:
    path = queue.incoming / "came.dcm"
    path.write_bytes(content)
    return path


def write(folder: Path) -> list[Path]:
    paths = [folder / "result.sr.dcm", folder / "result.pr.dcm"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def killed(queue: Queue, to: Path) -> Queue:
    """What another process finds after this one was killed now."""
    shutil.copytree(queue.folder, to)
    return to_a(to)


def test_an_image_goes_through(queue: Queue):
    assert put(queue)
    (image,) = queue.take(5)
    assert (image.ticket, image.sender, image.tries) == (ONE, "SENDER", 1)
    assert image.path.read_bytes() == b"image"
    queue.answer(ONE, write, ["A", "B"])
    assert not image.path.exists()
    assert queue.take(5) == []
    first, second = queue.outbox.due("A", 5)
    assert [parcel.path.read_bytes() for parcel in (first, second)] == [b"result.sr.dcm", b"result.pr.dcm"]
    assert not queue.outbox.delivered(first)
    assert not queue.outbox.delivered(second)
    assert queue.books.counts()["answering"] == 1
    assert [queue.outbox.delivered(parcel) for parcel in queue.outbox.due("B", 5)] == [False, True]
    assert queue.books.counts() == {**dict.fromkeys(STATES, 0), "answered": 1}
    assert list((queue.folder / "results").iterdir()) == []


def test_a_known_image_is_not_taken_again(queue: Queue):
    assert put(queue)
    assert not put(queue)
    (image,) = queue.take(5)
    assert image.path.read_bytes() == b"image"
    queue.answer(ONE, write, ["A"])
    assert not put(queue)
    for parcel in queue.outbox.due("A", 5):
        queue.outbox.delivered(parcel)
    assert not put(queue)


def answered(queue: Queue, name: str) -> None:
    queue.take(5)
    queue.answer(name, write, ["A"])
    for parcel in queue.outbox.due("A", 5):
        queue.outbox.delivered(parcel)


def dicom(sender: bytes, content: bytes = b"image") -> bytes:
    """A file whose group of the transfer names a sender, as each writes it."""
    group = b"\2\0\x16\0AE" + len(sender).to_bytes(2, "little") + sender
    length = b"\2\0\0\0UL\4\0" + len(group).to_bytes(4, "little")
    return b"\0" * 128 + b"DICM" + length + group + content


def test_known_is_the_same_data_set_whoever_wrote_it_to_a_file(queue: Queue):
    assert put(queue, content=dicom(b"A "))
    assert not put(queue, content=dicom(b"ANOTHER "))
    answered(queue, ONE)
    assert not put(queue, content=dicom(b"THIRD "))
    came = queue.accept(ONE, incoming(queue, dicom(b"A ", b"corrected patient")), "SENDER")
    assert (came.ticket, came.new) == (f"{ONE}-2", True)
    assert queue.accept(ONE, incoming(queue, dicom(b"A ")), "SENDER").ticket == ONE
    assert not put(queue, content=dicom(b"B ", b"corrected patient"))  # while that waits
    (image,) = queue.take(5)
    assert image.path.read_bytes().endswith(b"corrected patient")
    answered(queue, f"{ONE}-2")
    assert queue.books.counts()["answered"] == 2
    assert not put(queue, content=dicom(b"B ", b"corrected patient"))
    assert image_of(f"{ONE}-2") == image_of(ONE) == ONE


def test_two_versions_wait_side_by_side(queue: Queue):
    assert put(queue, content=b"before")
    assert put(queue, content=b"after")
    assert [image.path.read_bytes() for image in queue.take(5)] == [b"before", b"after"]


def test_a_second_sender_is_answered_where_answers_go_to_the_sender(tmp_path: Path):
    queue = to_a(tmp_path / "node", receivers=lambda sender: [sender])
    for sender, name in (("A", ONE), ("B", f"{ONE}-2")):
        assert queue.accept(ONE, incoming(queue), sender)
        assert not queue.accept(ONE, incoming(queue), sender)
        queue.take(5)
        queue.answer(name, write, [sender])
        assert len(queue.outbox.due(sender, 5)) == 2
    queue.close()


def test_a_second_sender_is_none_where_answers_go_elsewhere(queue: Queue):
    assert queue.accept(ONE, incoming(queue), "B")
    assert not queue.accept(ONE, incoming(queue), "C")
    answered(queue, ONE)
    assert not queue.accept(ONE, incoming(queue), "D")


def test_another_model_answers_anew(tmp_path: Path):
    models = ["first"]
    queue = to_a(tmp_path / "node", reader=lambda: models[-1])
    put(queue)
    models.append("second")
    assert not put(queue)  # it waits, and is read with the second
    answered(queue, ONE)
    assert not put(queue)
    models.append("third")
    assert queue.accept(ONE, incoming(queue), "SENDER").ticket == f"{ONE}-2"
    assert not put(queue)
    answered(queue, f"{ONE}-2")
    assert not put(queue)
    queue.close()


def test_an_image_that_came_to_nothing_is_taken_anew(queue: Queue):
    put(queue)
    queue.refuse(ONE, "not read in 3 tries")
    assert put(queue, content=b"again")
    (image,) = queue.take(5)
    assert (image.tries, image.path.read_bytes()) == (1, b"again")
    queue.answer(ONE, write, ["A"])
    for parcel in queue.outbox.due("A", 5):
        queue.outbox.give_up(parcel, "no association")
    assert put(queue)


def test_a_try_that_was_not_its_fault_does_not_count(queue: Queue):
    put(queue)
    queue.take(1)
    queue.put_back([ONE])
    assert [image.tries for image in queue.take(1)] == [1]


def test_an_image_that_ended_long_ago_is_forgotten(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    put(queue)
    put(queue, TWO)
    queue.refuse(ONE, "a knee")
    assert queue.ended.forget(30) == 0
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 31 * 86_400)
    assert queue.ended.forget(30) == 1
    assert put(queue)
    assert [image.ticket for image in queue.take(5)] == [TWO, ONE]  # what waits is never forgotten


def test_images_come_in_the_order_of_their_arrival(queue: Queue):
    names = [ticket(f"1.{number}") for number in range(5)]
    for name in names:
        put(queue, name)
    assert [image.ticket for image in queue.take(3)] == names[:3]


def test_an_image_begun_before_comes_alone(queue: Queue):
    for name in (ONE, TWO):
        put(queue, name)
    assert len(queue.take(5)) == 2
    (again,) = queue.take(5)
    assert (again.ticket, again.tries) == (ONE, 2)
    queue.refuse(ONE, "")
    put(queue, ticket("1.2.5"))
    assert [image.ticket for image in queue.take(5)] == [TWO]


def test_it_survives_a_kill_at_each_step(queue: Queue, tmp_path: Path):
    (queue.incoming / "half.dcm").write_bytes(b"half")
    (queue.incoming / "folder").mkdir()
    empty = killed(queue, tmp_path / "1")
    assert list(empty.incoming.iterdir()) == []

    (queue.folder / "images" / f"{TWO}.dcm").write_bytes(b"moved, but promised to no one")
    swept = killed(queue, tmp_path / "2")
    assert list((swept.folder / "images").iterdir()) == []
    assert put(swept, TWO)  # its sender comes again

    put(queue)
    accepted = killed(queue, tmp_path / "3")
    assert [image.ticket for image in accepted.take(5)] == [ONE]

    queue.take(5)
    (queue.folder / "results" / ONE).mkdir()
    write(queue.folder / "results" / ONE)
    begun = killed(queue, tmp_path / "4")
    assert list((begun.folder / "results").iterdir()) == []  # made anew
    assert [(image.ticket, image.tries) for image in begun.take(5)] == [(ONE, 2)]

    queue.answer(ONE, write, ["A"])
    image = queue.folder / "images" / f"{ONE}.dcm"
    image.write_bytes(b"not yet removed")
    answering = killed(queue, tmp_path / "5")
    assert not (answering.folder / "images" / image.name).exists()
    assert answering.take(5) == []
    assert len(answering.outbox.due("A", 5)) == 2

    first, second = queue.outbox.due("A", 5)
    queue.outbox.delivered(first)
    half_sent = killed(queue, tmp_path / "6")
    (left,) = half_sent.outbox.due("A", 5)
    assert left.path.read_bytes() == b"result.pr.dcm"

    queue.outbox.delivered(second)
    ended = killed(queue, tmp_path / "7")
    assert ended.books.counts()["answered"] == 1
    assert not put(ended)
    for made in (empty, swept, accepted, begun, answering, half_sent, ended):
        made.close()


def test_a_lost_file_is_said(queue: Queue, tmp_path: Path):
    put(queue)
    (queue.folder / "images" / f"{ONE}.dcm").unlink()
    after = killed(queue, tmp_path / "after")
    assert after.books.counts()["failed"] == 1
    after.close()


def test_results_that_cannot_be_sent_wait_longer_and_longer(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, ["A"])
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now)
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


def test_two_nodes_cannot_share_a_folder(queue: Queue):
    with pytest.raises(BlockingIOError, match="another node works on"):
        Queue(queue.folder)


def test_no_other_user_can_look(queue: Queue, tmp_path: Path):
    assert queue.folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "known").mkdir(mode=0o755)
    Queue(tmp_path / "known").close()
    assert (tmp_path / "known").stat().st_mode & 0o777 == 0o700


def test_an_image_sent_again_as_it_is_closed_keeps_its_file(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    put(queue)
    queue.take(1)
    threads = []
    unlink = Path.unlink

    def slowly(path: Path, missing_ok: bool = False) -> None:
        if not threads:
            threads.append(threading.Thread(target=put, args=(queue,), kwargs={"content": b"again"}))
            threads[0].start()
            threads[0].join(timeout=0.5)  # waits for the queue
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", slowly)
    queue.refuse(ONE, "view")
    threads[0].join()
    (image,) = queue.take(5)
    assert image.path.read_bytes() == b"again"


def test_what_is_kept_names_no_one(queue: Queue):
    put(queue, ticket("1.2.840.99.7"))
    queue.take(1)
    queue.answer(ticket("1.2.840.99.7"), write, ["A"])
    kept = b"".join(path.read_bytes() for path in queue.folder.iterdir() if path.is_file())
    assert b"1.2.840.99.7" not in kept
    assert isinstance(queue.outbox.due("A", 1)[0], Parcel)
    assert MAX_TRIES == 3


def test_the_books_are_read_page_by_page(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    moments = iter([1.0, 2.0, 2.0, 3.0])
    monkeypatch.setattr(module.time, "time", lambda: next(moments, 9.0))
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
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 1.9 * 86_400)
    queue.ended.forget(30)
    assert (queue.disk.kept_image(ONE) is not None, bool(queue.disk.kept_results(ONE))) == (images > 0, results > 0)
    monkeypatch.setattr(module.time, "time", lambda: now + 2.1 * 86_400)
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


def test_results_for_nobody_may_be_kept_to_be_looked_at(tmp_path: Path):
    queue = to_a(tmp_path / "node", keep=Keep(results=1), receivers=lambda sender: [])
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, [])
    assert queue.books.counts()["answered"] == 1
    assert len(queue.disk.kept_results(ONE)) == 2
    queue.close()


def test_a_copy_of_what_is_taken_anew_takes_its_files_with_it(tmp_path: Path):
    queue = to_a(tmp_path / "node", keep=Keep(images=1, results=1))
    put(queue)
    queue.take(1)
    queue.answer(ONE, write, ["A"])
    for parcel in queue.outbox.due("A", 9):
        queue.outbox.give_up(parcel, "status 0xA700")
    assert len(queue.disk.kept_results(ONE)) == 2
    assert put(queue, content=b"again")
    assert queue.disk.kept_results(ONE) == []
    assert [image.path.read_bytes() for image in queue.take(1)] == [b"again"]
    queue.close()


def test_an_answer_is_of_the_image_that_was_read(queue: Queue):
    put(queue)
    (image,) = queue.take(1)
    queue.ended.drop(ONE, force=True)
    put(queue, content=b"another patient's, under the same UID")
    queue.answer(ONE, write, ["A"], received=image.received)
    queue.refuse(ONE, "a knee", image.received)
    queue.fail(ONE, "not read in 3 tries", image.received)
    assert queue.books.counts()["waiting"] == 1
    assert queue.outbox.due("A", 9) == queue.disk.kept_results(ONE) == []
    (another,) = queue.take(1)
    queue.answer(ONE, write, ["A"], received=another.received)
    assert len(queue.outbox.due("A", 9)) == 2


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
