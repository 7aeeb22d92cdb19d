"""What was accepted and not yet answered, on disk: it survives the process, and each image is answered once.

An image waits as a file, its state stands in SQLite. The order of the steps makes a kill at any moment harmless: the file
lies in its place before the row that promises it is committed, and a sender is told "stored" after that; results lie in
theirs before the image becomes "answering", and the image goes after that. Files are synced before the row that counts
on them. What a kill leaves besides is swept at the next start. Results have the same UIDs whenever they are made, so one
that was sent and not yet noted is stored by its receiver once.

An image is known by its ticket, a hash of its SOP Instance UID: what is kept and logged after the answer names no one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pneumonia.files import fresh_dir

MAX_TRIES = 3  # of reading one image; a process that died while reading it counts as one
RESERVE = 2**21  # bytes
_SCHEMA = """
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
"""


@dataclass(frozen=True)
class Image:
    """An image to read.

    Attributes:
        ticket: its name in the queue and the log.
        path: its file in the queue.
        sender: the AE title that sent it.
        tries: how often reading was begun, this time included.
    """

    ticket: str
    path: Path
    sender: str
    tries: int


@dataclass(frozen=True)
class Parcel:
    """A result to send.

    Attributes:
        ticket: of the image that it is of.
        peer: name of the peer that it is for.
        path: its file in the queue.
        received: when the image came in, seconds since the epoch.
        tries: how often it was tried in vain.
        failing: since when, seconds since the epoch; None where it was not tried in vain.
    """

    ticket: str
    peer: str
    path: Path
    received: float
    tries: int
    failing: float | None


def ticket(sop_instance: str) -> str:
    """The name of an image in the queue and the log."""
    return hashlib.sha256(sop_instance.encode()).hexdigest()[:32]


class Queue:
    """Safe to use from several threads. One process at a time holds the folder; BlockingIOError says another does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # for this user's eyes alone: it holds patients' images
        for name in ("incoming", "images", "results"):
            (folder / name).mkdir(exist_ok=True)
        self.folder, self.incoming = folder, folder / "incoming"
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise BlockingIOError(f"another node works on {folder}; end it, or name another folder") from error
        self._reserve = folder / "reserve"
        self.free_reserve()  # what is about to be opened and swept may need it
        self._lock = threading.RLock()
        try:
            self._open()
            self._sweep()
        except sqlite3.Error as error:
            os.close(self._handle)
            raise OSError(f"the queue in {folder} cannot be opened ({error}); is the disk full?") from error
        self.keep_reserve()

    def _open(self) -> None:
        self._base = sqlite3.connect(self.folder / "queue.sqlite", check_same_thread=False, isolation_level=None)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")  # a commit is on disk before a sender is told "stored"
        self._base.execute(
            "PRAGMA wal_autocheckpoint = 100"
        )  # pages: the log of changes stays smaller than the reserve
        self._base.executescript(_SCHEMA)

    def close(self) -> None:
        """Let the folder go."""
        with self._lock:
            self._base.close()
            os.close(self._handle)

    def accept(self, ticket: str, path: Path, sender: str) -> bool:
        """Take the file `path`, which lies in `incoming`, for good.

        Returns:
            False, and the file stays, where the image waits or was answered; one that was refused, or whose results nobody
            took, is taken anew.
        """
        _sync(path)
        with self._lock:
            if self._one("SELECT 1 FROM images WHERE ticket = ? AND state NOT IN ('refused', 'undelivered')", ticket):
                return False
            path.replace(self._image(ticket))
            try:
                _sync(self.folder / "images")
                self._base.execute(
                    "INSERT OR REPLACE INTO images (ticket, sender, state, received) VALUES (?, ?, 'waiting', ?)",
                    (ticket, sender, time.time()),
                )
            except BaseException:  # as where the disk is full: it is not promised, and must not fill it further
                self._image(ticket).unlink(missing_ok=True)
                raise
        return True

    def take(self, count: int) -> list[Image]:
        """The images that wait longest, at most `count`; one that was begun before comes alone.

        The try is noted first: an image that kills the process is not begun for ever (see `MAX_TRIES`). None is begun while
        the disk is so full that no try could be noted, or taken back.
        """
        if self.free_bytes() < RESERVE:
            return []
        with self._transaction():
            rows = self._base.execute(
                "SELECT ticket, sender, tries FROM images WHERE state = 'waiting' ORDER BY received, ticket LIMIT ?",
                (count,),
            ).fetchall()
            rows = rows[:1] if rows and rows[0][2] else [row for row in rows if row[2] == 0]
            self._base.executemany(
                "UPDATE images SET tries = tries + 1 WHERE ticket = ?", [(name,) for name, _, _ in rows]
            )
        return [Image(name, self._image(name), sender, tries + 1) for name, sender, tries in rows]

    def put_back(self, tickets: Iterable[str]) -> None:
        """A try that failed by no fault of the images does not count."""
        with self._transaction():
            self._base.executemany(
                "UPDATE images SET tries = tries - 1 WHERE ticket = ? AND state = 'waiting'",
                [(name,) for name in tickets],
            )

    def answer(self, ticket: str, write: Callable[[Path], list[Path]], receivers: list[str]) -> None:
        """Keep the files that `write` makes in a folder until each of `receivers` (titles) has them; the image goes."""
        with fresh_dir(self.folder / "results" / ticket) as temporary:
            paths = write(temporary)
            for path in (*paths, temporary):
                _sync(path)
        _sync(self.folder / "results")
        names, now = [path.name for path in paths], time.time()
        with self._lock:
            with self._transaction():
                self._base.execute("UPDATE images SET state = 'answering' WHERE ticket = ?", (ticket,))
                self._base.executemany(
                    "INSERT OR IGNORE INTO deliveries (ticket, peer, file, due) VALUES (?, ?, ?, ?)",
                    [(ticket, peer, name, now) for peer in receivers for name in names],
                )
            self._image(ticket).unlink(missing_ok=True)
        if not receivers:
            self._close(ticket, "undelivered", "nobody to send results to")

    def refuse(self, ticket: str, reason: str) -> None:
        """End an image that is not read; it goes."""
        self._close(ticket, "refused", reason)

    def due(self, peer: str, count: int) -> list[Parcel]:
        """Results for `peer` whose time has come, oldest first, at most `count`."""
        with self._lock:
            rows = self._base.execute(
                "SELECT ticket, file, received, deliveries.tries, failing FROM deliveries JOIN images USING (ticket) "
                "WHERE peer = ? AND due <= ? ORDER BY due, ticket, file DESC LIMIT ?",
                (peer, time.time(), count),
            ).fetchall()
        results = self.folder / "results"
        return [Parcel(name, peer, results / name / file, *numbers) for name, file, *numbers in rows]

    def delivered(self, parcel: Parcel) -> bool:
        """Note that the peer has it; True where the image is thereby answered in full."""
        return self._done(parcel)

    def give_up(self, parcel: Parcel, reason: str) -> None:
        """Note that the peer will not get it."""
        with self._lock:
            self._base.execute("UPDATE images SET reason = ? WHERE ticket = ?", (reason, parcel.ticket))
            self._done(parcel)

    def postpone(self, parcel: Parcel, seconds: float) -> None:
        """Try it again after `seconds`."""
        with self._lock:
            now = time.time()
            self._base.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ?, failing = coalesce(failing, ?) "
                "WHERE ticket = ? AND peer = ? AND file = ?",
                (now + seconds, now, parcel.ticket, parcel.peer, parcel.path.name),
            )

    def postpone_all(self, peer: str, seconds: float) -> None:
        """Try all that is due for a peer again after `seconds`."""
        with self._lock:
            now = time.time()
            self._base.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ?, failing = coalesce(failing, ?) WHERE peer = ? AND due <= ?",
                (now + seconds, now, peer, now),
            )

    def undelivered_to(self) -> dict[str, int]:
        """The number of results that wait for each peer."""
        with self._lock:
            return dict(self._base.execute("SELECT peer, count(*) FROM deliveries GROUP BY peer").fetchall())

    def forget(self, days: float) -> int:
        """Drop the rows of images that ended more than `days` ago; one that is sent again is then read again."""
        with self._lock:
            ended = self._base.execute("DELETE FROM images WHERE finished < ?", (time.time() - days * 86_400,))
        return ended.rowcount

    def counts(self) -> dict[str, int]:
        """The number of images by state."""
        with self._lock:
            rows = self._base.execute("SELECT state, count(*) FROM images GROUP BY state").fetchall()
        names = ("waiting", "answering", "answered", "refused", "undelivered")
        return {**dict.fromkeys(names, 0), **dict(rows)}

    def keep_reserve(self) -> None:
        """Hold room for the notes that free a full disk, where there is some."""
        if self._reserve.exists() or self.free_bytes() < 2 * RESERVE:
            return
        with suppress(OSError), self._reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE)

    def free_reserve(self) -> None:
        """Let that room go: what was delivered can then be noted, and its files go."""
        self._reserve.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Of the disk that the folder lies on."""
        return shutil.disk_usage(self.folder).free

    def _image(self, ticket: str) -> Path:
        return self.folder / "images" / f"{ticket}.dcm"

    def _done(self, parcel: Parcel) -> bool:
        """Strike it off; True where it was the last of its image, and each of them was taken."""
        with self._lock:
            self._base.execute(
                "DELETE FROM deliveries WHERE ticket = ? AND peer = ? AND file = ?",
                (parcel.ticket, parcel.peer, parcel.path.name),
            )
            if self._one("SELECT 1 FROM deliveries WHERE ticket = ?", parcel.ticket):
                return False
            (reason,) = self._one("SELECT reason FROM images WHERE ticket = ?", parcel.ticket) or ("",)
            self._close(parcel.ticket, "undelivered" if reason else "answered", reason)
        return not reason

    def _close(self, ticket: str, state: str, reason: str) -> None:
        with self._lock:  # until its files are gone: it may be sent again, and must not find the old ones
            self._base.execute(
                "UPDATE images SET state = ?, finished = ?, reason = ? WHERE ticket = ?",
                (state, time.time(), reason, ticket),
            )
            self._image(ticket).unlink(missing_ok=True)
            shutil.rmtree(self.folder / "results" / ticket, ignore_errors=True)

    def _one(self, query: str, *values: str) -> tuple[str, ...] | None:
        row: tuple[str, ...] | None = self._base.execute(query, values).fetchone()
        return row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def _sweep(self) -> None:
        """Remove what a kill left: half-received files, images no one was promised, results of images still waiting."""
        shutil.rmtree(self.incoming)
        self.incoming.mkdir()
        rows = self._base.execute("SELECT ticket, state, reason FROM images").fetchall()
        states = {name: state for name, state, _ in rows}
        for path in (self.folder / "images").iterdir():
            if states.get(path.stem) != "waiting":
                path.unlink()
        for path in (self.folder / "results").iterdir():
            if states.get(path.name) != "answering":
                shutil.rmtree(path)
        for name, state, reason in rows:
            if state == "waiting" and not self._image(name).is_file():
                self.refuse(name, "its file is gone from the node's folder")
            elif state == "answering" and not self._one("SELECT 1 FROM deliveries WHERE ticket = ?", name):
                self._close(name, "undelivered" if reason else "answered", reason)


def _sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
