"""What `pneumonia node` does to the books, and says of it, beside a node that holds the folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pneumonia.reading_room.node.queued import ONE, TWO, incoming, put, write

from pneumonia import cli
from pneumonia.reading_room.node.ended import Keep
from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket

SETTINGS = "peers: {A: {host: 127.0.0.1, port: 104}, B: {host: 127.0.0.1, port: 105}, C: {}}\n"


@pytest.fixture(params=[Keep(), Keep(images=1, results=1)], ids=["nothing kept", "kept"])
def queue(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """One image answered, one failed, one waiting, one whose results wait; and the settings in the current folder."""
    (tmp_path / "serve.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    made = Queue(tmp_path / "node", receivers=lambda sender: ["A"], keep=request.param)
    for number in (1, 2, 4):
        put(made, ticket(f"1.2.{number}"))
    made.take(9)
    made.answer(ticket("1.2.1"), write, ["A"], outcome="positive")
    for parcel in made.outbox.due("A", 9):
        made.outbox.delivered(parcel)
    made.fail(ticket("1.2.2"), "not read in 3 tries")
    made.answer(ticket("1.2.4"), write, ["A"])
    put(made, ticket("1.2.3"))
    yield made
    made.close()


def node(*arguments: str) -> int:
    return cli.main(["node", *arguments])


def test_the_books_are_listed(queue: Queue, capsys: pytest.CaptureFixture[str]):
    kept = "image, results" if queue.disk.kept_results(ticket("1.2.1")) else ""
    assert node("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].split() == [
        "received",
        "(UTC)",
        "ticket",
        "from",
        "state",
        "outcome",
        "waiting",
        "for",
        "kept",
        "why",
    ]
    by_ticket = {line.split()[2]: " ".join(line.split()[3:]) for line in lines[1:]}
    assert by_ticket == {
        ticket("1.2.1"): f"SENDER answered positive {kept}".strip(),
        ticket("1.2.2"): f"SENDER failed failed {'image ' if kept else ''}not read in 3 tries",
        ticket("1.2.3"): "SENDER waiting image",
        ticket("1.2.4"): f"SENDER answering negative A (2) {kept or 'results'}",
    }
    assert node("list", "--state", "failed", "--json") == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert (said["ticket"], said["state"], said["tries"]) == (ticket("1.2.2"), "failed", 1)
    assert node("list", "--state", "lost") == 2
    assert "no state 'lost'; there are waiting, answering" in capsys.readouterr().err
    assert node("list", "--limit", "1") == 0
    assert ticket("1.2.3") in capsys.readouterr().out  # the newest


def test_an_image_is_read_again_where_it_was_kept(queue: Queue, capsys: pytest.CaptureFixture[str]):
    names = ["1.2.1", ticket("1.2.2")[:8]]
    kept = queue.disk.kept_image(ticket("1.2.1")) is not None
    assert node("reread", *names) == 0
    if kept:
        assert capsys.readouterr().out.splitlines() == [f"{ticket(f'1.2.{n}')}: is read again" for n in (1, 2)]
        assert {image.ticket for image in queue.take(9)} >= {ticket("1.2.3")}
        assert queue.books.counts()["waiting"] == 3
        assert queue.disk.kept_results(ticket("1.2.1")) == []
        assert not put(queue, ticket("1.2.1"))  # it waits
    else:
        assert (
            "its file was not kept (keep_images); it will be read again if it is sent again" in capsys.readouterr().out
        )
        assert queue.books.counts()["waiting"] == 1
        assert put(queue, ticket("1.2.1"))
        assert put(queue, ticket("1.2.2"))


def test_all_that_failed_are_read_again(queue: Queue, capsys: pytest.CaptureFixture[str]):
    assert node("reread", "--all-failed") == 0
    assert capsys.readouterr().out.startswith(ticket("1.2.2"))
    assert node("reread", "1.2.3", "1.2.4", "1.2.9") == 1
    assert capsys.readouterr().out.splitlines() == [
        "1.2.9: no image of the books is called so",
        f"{ticket('1.2.3')}: it waits to be read",
        f"{ticket('1.2.4')}: its results are being sent",
    ]
    assert node("reread") == 2
    assert "name an image; `pneumonia node list` shows them" in capsys.readouterr().err


def test_results_are_sent_again_where_they_were_kept(queue: Queue, capsys: pytest.CaptureFixture[str]):
    kept = bool(queue.disk.kept_results(ticket("1.2.1")))
    assert node("resend", "1.2.1", "--to", "B") == (0 if kept else 1)
    said = capsys.readouterr().out
    if kept:
        assert "2 results are sent again to B" in said
        assert [parcel.path.read_bytes() for parcel in queue.outbox.due("B", 9)] == [b"result.sr.dcm", b"result.pr.dcm"]
        for parcel in queue.outbox.due("B", 9):
            queue.outbox.delivered(parcel)
        assert queue.books.counts()["answered"] == 1
    else:
        assert "neither its results nor its file were kept (keep_results, keep_images); have it sent again" in said
    assert node("resend", "1.2.3", "--to", "C") == 1
    assert "C is no peer with a host and a port" in capsys.readouterr().out
    assert node("resend", "1.2.3") == 1
    assert "it is not answered yet" in capsys.readouterr().out


def test_results_that_wait_are_sent_now(queue: Queue, capsys: pytest.CaptureFixture[str]):
    for parcel in queue.outbox.due("A", 9):
        queue.outbox.postpone(parcel, 1000)
    assert queue.outbox.due("A", 9) == []
    assert node("resend", "1.2.4") == 0
    assert [(parcel.tries, parcel.failing) for parcel in queue.outbox.due("A", 9)] == [(0, None)] * 2


def test_results_that_a_peer_did_not_take_are_sent_again(queue: Queue, capsys: pytest.CaptureFixture[str]):
    for parcel in queue.outbox.due("A", 9):
        queue.outbox.give_up(parcel, "status 0xA700")
    kept = bool(queue.disk.kept_results(ticket("1.2.4")))
    assert node("resend", "--all-undelivered") == (0 if kept else 1)
    assert len(queue.outbox.due("A", 9)) == (2 if kept else 0)
    assert queue.books.counts()["undelivered"] == (0 if kept else 1)


def test_an_image_is_forgotten(queue: Queue, capsys: pytest.CaptureFixture[str]):
    assert node("forget", "1.2.1", "1.2.3", "1.2.4") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{ticket('1.2.1')}: is forgotten, with its files",
        f"{ticket('1.2.3')}: it waits to be read; --force forgets it all the same, and it is not answered",
        f"{ticket('1.2.4')}: its results are being sent; --force forgets it all the same, and it is not answered",
    ]
    assert node("forget", "--force", "1.2.3", "1.2.4") == 0
    assert [row.ticket for row in queue.books.rows()] == [ticket("1.2.2")]
    assert queue.outbox.undelivered_to() == {}
    assert [path.stem for path in (queue.folder / "images").iterdir()] in ([], [ticket("1.2.2")])
    assert list((queue.folder / "results").iterdir()) == []
    assert put(queue, ticket("1.2.1"))


def test_an_image_forgotten_while_it_is_read_is_not_answered(queue: Queue):
    queue.take(9)

    def forgotten_meanwhile(folder: Path) -> list[Path]:
        assert node("forget", "--force", "1.2.3") == 0
        return write(folder)

    queue.answer(ticket("1.2.3"), forgotten_meanwhile, ["A"])
    assert queue.books.row(ticket("1.2.3")) is None
    assert not (queue.folder / "results" / ticket("1.2.3")).exists()
    assert len(queue.outbox.due("A", 9)) == 2  # of the other


def test_a_kill_between_the_steps_of_a_command_harms_nothing(queue: Queue, tmp_path: Path):
    if queue.disk.kept_image(ticket("1.2.1")) is None:
        return
    # the row first, the results after it
    queue._base.run("UPDATE images SET state = 'waiting', finished = NULL WHERE ticket = ?", (ticket("1.2.1"),))
    shutil.copytree(queue.folder, tmp_path / "killed")
    after = Queue(tmp_path / "killed", receivers=lambda sender: ["A"], keep=Keep(images=1, results=1))
    assert after.books.counts() == {
        "waiting": 2, "answering": 1, "answered": 0, "refused": 0, "failed": 1, "undelivered": 0
    }  # fmt: skip
    assert after.disk.kept_results(ticket("1.2.1")) == []
    after.close()


def test_where_no_node_was_there_are_no_books(queue: Queue, capsys: pytest.CaptureFixture[str]):
    Path("node").rename("elsewhere")
    assert node("list") == 2
    assert "there is no node's queue in node" in capsys.readouterr().err
    assert not Path("node").exists()


def test_versions_of_an_image_are_named_together(queue: Queue):
    queue.accept(ticket("1.2.1"), incoming(queue, b"corrected"), "SENDER")
    assert [row.ticket for row in queue.books.find("1.2.1")] == [ticket("1.2.1"), f"{ticket('1.2.1')}-2"]
    assert [row.ticket for row in queue.books.find(f"{ticket('1.2.1')}-2")] == [f"{ticket('1.2.1')}-2"]
    assert [row.ticket for row in queue.books.find(ticket("1.2.1"))] == [ticket("1.2.1")]
    assert len(queue.books.find(ticket("1.2.1")[:8])) == 2
    assert queue.books.find(ONE) == queue.books.find("1.2.3")
    assert queue.books.find(TWO) == queue.books.find("1.2.4")
