"""Books of older nodes are taken over, whole or not at all; those of newer ones are refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pneumonia.reading_room.node import tables
from pneumonia.reading_room.node.queue import Queue

# As the first nodes made them.
FIRST = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS images (
    ticket TEXT PRIMARY KEY,
    sender TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'answering', 'answered', 'refused', 'undelivered')),
    received REAL NOT NULL,
    finished REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS by_state ON images (state, received);
CREATE TABLE IF NOT EXISTS deliveries (
    ticket TEXT NOT NULL REFERENCES images (ticket),
    peer TEXT NOT NULL,
    file TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    failing REAL,  -- since when; null: not tried yet
    PRIMARY KEY (ticket, peer, file)
);
CREATE INDEX IF NOT EXISTS by_peer ON deliveries (peer, due);
INSERT INTO images VALUES ('aa', 'CT1', 'waiting', 1, NULL, 1, '');
INSERT INTO images VALUES ('bb', 'CT1', 'answering', 2, NULL, 1, '');
INSERT INTO images VALUES ('cc', 'CT1', 'answered', 3, 30, 1, '');
INSERT INTO images VALUES ('dd', 'CT1', 'refused', 4, 40, 1, 'view: not said to be one of AP, PA');
INSERT INTO images VALUES ('ee', 'CT1', 'refused', 5, 50, 4, 'not read in 3 tries');
INSERT INTO images VALUES ('ff', 'CT1', 'undelivered', 6, 60, 1, 'status 0xA700');
INSERT INTO deliveries VALUES ('bb', 'PACS', 'result.sr.dcm', 2, 7, 3);
"""


def first(folder: Path) -> Path:
    for name in ("images", "results/bb"):
        (folder / name).mkdir(parents=True)
    (folder / "images" / "aa.dcm").write_bytes(b"image")
    (folder / "results" / "bb" / "result.sr.dcm").write_bytes(b"report")
    base = sqlite3.connect(folder / "queue.sqlite")
    base.executescript(FIRST)
    base.close()
    return folder


def test_the_books_of_the_first_nodes_are_taken_over(tmp_path: Path):
    for _ in range(2):  # once, and opened again
        queue = Queue(first(tmp_path / "node") if not (tmp_path / "node").exists() else tmp_path / "node")
        rows = {row.ticket: row for row in queue.books.rows()}
        assert {name: (row.state, row.outcome, row.reason, row.fault) for name, row in rows.items()} == {
            "aa": ("waiting", "", "", ""),
            "bb": ("answering", "", "", ""),
            "cc": ("answered", "", "", ""),
            "dd": ("refused", "not analysed", "view: not said to be one of AP, PA", ""),
            "ee": ("failed", "failed", "not read in 3 tries", ""),
            "ff": ("undelivered", "", "", "status 0xA700"),
        }
        assert [(row.received, row.finished) for row in rows.values()] == [
            (6, 60), (5, 50), (4, 40), (3, 30), (2, None), (1, None)
        ]  # fmt: skip
        (parcel,) = queue.outbox.due("PACS", 5)
        assert (parcel.ticket, parcel.path.read_bytes(), parcel.tries, parcel.failing) == ("bb", b"report", 2, 3)
        assert queue.books.outcomes() == {
            "positive": 0, "negative": 0, "not analysed": 1, "failed": 1, "pending": 1, "unknown": 3
        }  # fmt: skip
        queue.close()
    queue = Queue(tmp_path / "node")
    (image,) = queue.take(5)
    assert (image.ticket, image.tries) == ("aa", 2)
    queue.close()


def test_what_is_cut_short_leaves_the_old_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first(tmp_path / "node")
    with monkeypatch.context() as patched:
        patched.setattr(tables, "_DELIVERIES", "no table")
        patched.setattr(tables, "_FROM_FIRST", tables._FROM_FIRST + " WHERE no = 1")
        with pytest.raises(OSError, match="cannot be opened"):
            Queue(tmp_path / "node")
    queue = Queue(tmp_path / "node")
    assert queue.books.counts()["failed"] == 1
    queue.close()


def test_books_of_another_version_are_refused(tmp_path: Path):
    first(tmp_path / "node")
    with pytest.raises(ValueError, match="older version of this project; start the node on it once"):
        Queue(tmp_path / "node", beside=True)
    Queue(tmp_path / "node").close()
    base = sqlite3.connect(tmp_path / "node" / "queue.sqlite")
    base.execute("PRAGMA user_version = 3")
    base.close()
    for beside in (False, True):
        with pytest.raises(ValueError, match=r"of a newer version of this project \(3, this one knows 2\)"):
            Queue(tmp_path / "node", beside=beside)
