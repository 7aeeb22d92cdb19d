"""The queue on disk: whatever moment a process dies at, the next one finds each accepted image once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.pneumonia.reading_room.node.queued import ONE, TWO, answered, incoming, killed, put, to_a, write

from pneumonia.reading_room.node.ended import Keep
from pneumonia.reading_room.node.queue import MAX_TRIES, Queue
from pneumonia.reading_room.node.records import Parcel, image_of, ticket
from pneumonia.reading_room.node.tables import STATES


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
