"""What was accepted and not yet answered, on disk: it survives the process, and each image is answered once.

An image waits as a file, its state stands in SQLite. The order of the steps makes a kill at any moment harmless: the file
lies in its place before the row that promises it is committed, and a sender is told "stored" after that; results lie in
theirs before the image becomes "answering", and the image goes after that. Files are synced before the row that counts
on them. What a kill leaves besides is swept at the next start. Results have the same UIDs whenever they are made, so one
that was sent and not yet noted is stored by its receiver once.

An image is known by its ticket, a hash of its SOP Instance UID: what is kept and logged after the answer names no one.
One that comes again is known where the data set, the receivers and what reads it (models, params, settings) are the same;
else it is another image, with a ticket of its own: the same hash and a number.

One node holds the folder, and `pneumonia node` works beside it: what changes rows and files does so under one lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pneumonia.files import fresh_dir
from pneumonia.reading_room.node import tables

MAX_TRIES = 3  # of reading one image; a process that died while reading it counts as one
RESERVE = 2**21  # bytes
BOOKS = "queue.sqlite"
GONE = "its file is gone from the node's folder"
_DAY = 86_400.0
_IN_VAIN = {
    "failed": "outcome = 'failed' AND coalesce(finished, received) > ?",
    "undelivered": "state = 'undelivered' AND outcome != 'failed' AND finished > ?",
}
_TICKET = re.compile(r"[0-9a-f]{8,32}(-\d+)?")
_ENDED = f"state IN {('answered', *tables.IN_VAIN)}"


class ModelsFailed(RuntimeError):
    """The models fail on any image: this is no fault of those that wait."""


@dataclass(frozen=True)
class Image:
    """An image to read.

    Attributes:
        ticket: its name in the queue and the log.
        path: its file in the queue.
        sender: the AE title that sent it.
        tries: how often reading was begun, this time included.
        received: when it came in, seconds since the epoch: it may be forgotten while it is read, and another come in its place.
    """

    ticket: str
    path: Path
    sender: str
    tries: int
    received: float


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


@dataclass(frozen=True)
class Accepted:
    """What became of an image that came in; true where it was taken, false where it was known.

    Attributes:
        ticket: of the image, or of the one that it is a copy of.
        new: whether it was taken.
    """

    ticket: str
    new: bool

    def __bool__(self) -> bool:
        return self.new


@dataclass(frozen=True)
class Row:
    """What the books say of one image; nothing in it names a person.

    Attributes:
        ticket: its name in the queue and the log.
        sender: the AE title that sent it.
        receivers: titles of the peers that its results are for.
        state: waiting (to be read), answering (results are being sent), answered, refused (not to be read, or not readable),
            failed (given up by the node), undelivered (results that a peer did not take, or that were for nobody).
        outcome: positive, negative, not analysed or failed; empty where it is not known yet.
        reason: why it was not analysed, or failed.
        fault: why a result of it was not taken.
        received, finished: seconds since the epoch; finished is None until nothing is left to do.
        tries: how often reading it was begun.
        waiting: results that wait, by peer.
        image, results: whether its file, or its results, lie in the node's folder.
    """

    ticket: str
    sender: str
    receivers: tuple[str, ...]
    state: str
    outcome: str
    reason: str
    fault: str
    received: float
    finished: float | None
    tries: int
    waiting: dict[str, int]
    image: bool
    results: bool


@dataclass(frozen=True)
class Debt:
    """What one peer has yet to take.

    Attributes:
        results: how many.
        oldest: when the image of the oldest came in, seconds since the epoch.
        in_vain: how many of them were tried in vain.
        failing: since when the first of those is tried, seconds since the epoch; None where there is none.
    """

    results: int
    oldest: float
    in_vain: int
    failing: float | None


@dataclass(frozen=True)
class Keep:
    """Days for which files stay after the answer; they hold what names a patient. 0: they go with it.

    Attributes:
        images: as they came.
        results: as they were sent.
    """

    images: float = 0.0
    results: float = 0.0


def ticket(sop_instance: str) -> str:
    """The name of an image in the queue and the log."""
    return hashlib.sha256(sop_instance.encode()).hexdigest()[:32]


def image_of(name: str) -> str:
    """The part of a ticket that is a hash of the SOP Instance UID: what `ticket` gives."""
    return name.partition("-")[0]


class Queue:
    """Safe to use from several threads. One node at a time holds the folder; BlockingIOError says another does.

    Arguments:
        reader: says what reads images now: models, params and settings, as one word. An image that another answered is
            not known.
        receivers: titles of the peers that get the results of an image, by its sender.
        keep: how long files stay.
        beside: whether to work beside a node that may be running; then there must be a queue in the folder.

    Raises:
        FileNotFoundError: `beside` is set, and there is no queue.
        ValueError: its books are of another version.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reader: Callable[[], str] = lambda: "",
        receivers: Callable[[str], list[str]] = lambda sender: [sender],
        keep: Keep = Keep(),
        beside: bool = False,
    ) -> None:
        if beside and not (folder / BOOKS).is_file():
            raise FileNotFoundError(f"there is no node's queue in {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # for this user's eyes alone: it holds patients' images
        for name in ("incoming", "images", "results"):
            (folder / name).mkdir(exist_ok=True)
        self.folder, self.incoming = folder, folder / "incoming"
        self._reader, self._receivers, self._keep = reader, receivers, keep
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not beside:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise BlockingIOError(f"another node works on {folder}; end it, or name another folder") from error
        self._reserve = folder / "reserve"
        if not beside:
            self.free_reserve()  # what is about to be opened and swept may need it
        self._lock, self._depth = threading.RLock(), 0
        self._between = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._base = sqlite3.connect(folder / BOOKS, timeout=60, check_same_thread=False, isolation_level=None)
        try:
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")  # a commit is on disk before a sender is told "stored"
            # pages: the log of changes stays smaller than the reserve
            self._base.execute("PRAGMA wal_autocheckpoint = 100")
            if beside:
                tables.require(self._base.execute("PRAGMA user_version").fetchone()[0])
            else:
                tables.prepare(self._base)
                self._sweep()
                self.keep_reserve()
        except sqlite3.Error as error:
            self.close()
            raise OSError(f"the queue in {folder} cannot be opened ({error}); is the disk full?") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the folder go."""
        with self._lock:
            self._base.close()
            os.close(self._between)
            os.close(self._handle)

    def accept(self, image: str, path: Path, sender: str) -> Accepted:
        """Take the file `path`, which lies in `incoming`, for good.

        The file stays, and nothing is taken, where the same image waits or was answered. One that was refused or failed, or
        whose results nobody took, is taken anew.

        Arguments:
            image: `ticket` of its SOP Instance UID.
        """
        _sync(path)
        content, receivers, reader = _content(path), json.dumps(self._receivers(sender)), self._reader()
        with self._exclusive():
            free, number = image, 1
            rows = self._base.execute(
                "SELECT ticket, state, content, receivers, reader FROM images WHERE image = ? ORDER BY received",
                (image,),
            ).fetchall()
            in_vain = [name for name, state, _, to, _ in rows if state in tables.IN_VAIN and to in (receivers, "")]
            for name, state, *same in rows:
                if same[:2] == [content, receivers] and (
                    state == "waiting" or (state in ("answering", "answered") and same[2] == reader)
                ):
                    return Accepted(name, new=False)
            while free in {row[0] for row in rows}:
                number += 1
                free = f"{image}-{number}"
            name = in_vain[0] if in_vain else free
            shutil.rmtree(self._results(name), ignore_errors=True)
            path.replace(self._image(name))
            try:
                _sync(self.folder / "images")
                self._base.execute(
                    "INSERT OR REPLACE INTO images (ticket, image, content, sender, receivers, state, received) "
                    "VALUES (?, ?, ?, ?, ?, 'waiting', ?)",
                    (name, image, content, sender, receivers, time.time()),
                )
            except BaseException:  # as where the disk is full: it is not promised, and must not fill it further
                self._remove_image(name)
                raise
        return Accepted(name, new=True)

    def take(self, count: int) -> list[Image]:
        """The images that wait longest, at most `count`; one that was begun before comes alone.

        The try is noted first: an image that kills the process is not begun for ever (see `MAX_TRIES`). None is begun while
        the disk is so full that no try could be noted, or taken back.
        """
        if self.free_bytes() < RESERVE:
            return []
        with self._transaction():
            rows = self._base.execute(
                "SELECT ticket, sender, tries, received FROM images WHERE state = 'waiting' ORDER BY received, ticket LIMIT ?",
                (count,),
            ).fetchall()
            rows = rows[:1] if rows and rows[0][2] else [row for row in rows if row[2] == 0]
            self._base.executemany(
                "UPDATE images SET tries = tries + 1 WHERE ticket = ?", [(name,) for name, *_ in rows]
            )
        return [Image(name, self._image(name), sender, tries + 1, came) for name, sender, tries, came in rows]

    def put_back(self, tickets: Iterable[str]) -> None:
        """A try that failed by no fault of the images does not count."""
        with self._transaction():
            self._base.executemany(
                "UPDATE images SET tries = tries - 1 WHERE ticket = ? AND state = 'waiting'",
                [(name,) for name in tickets],
            )

    def answer(
        self,
        ticket: str,
        write: Callable[[Path], list[Path]],
        receivers: list[str],
        *,
        outcome: str = "negative",
        reason: str = "",
        received: float | None = None,
    ) -> None:
        """Keep the files that `write` makes in a folder until each of `receivers` (titles) has them; the image goes.

        Arguments:
            outcome, reason: see `Row`.
            received: of the image that was read; nothing is kept where it is not the one that waits now.
        """
        reader = self._reader()
        with fresh_dir(self._results(ticket)) as temporary:
            paths = write(temporary)
            for path in (*paths, temporary):
                _sync(path)
        _sync(self.folder / "results")
        names, now = [path.name for path in paths], time.time()
        with self._exclusive():
            with self._transaction():
                taken = self._base.execute(
                    "UPDATE images SET state = 'answering', receivers = ?, reader = ?, outcome = ?, reason = ? "
                    "WHERE ticket = ? AND state = 'waiting' AND received = coalesce(?, received)",
                    (json.dumps(receivers), reader, outcome, reason, ticket, received),
                ).rowcount
                if taken:
                    self._deliver(ticket, receivers, names, now)
            if not taken:  # it was forgotten meanwhile
                shutil.rmtree(self._results(ticket), ignore_errors=True)
            elif not receivers:
                self._end(ticket)
            elif not self._keep.images:
                self._image(ticket).unlink(missing_ok=True)

    def refuse(self, ticket: str, reason: str, received: float | None = None) -> None:
        """End an image that is not to be read, or cannot be; it goes."""
        self._end_unread(ticket, "refused", "not analysed", reason, received)

    def fail(self, ticket: str, reason: str, received: float | None = None) -> None:
        """Give up an image that may be a good one; it goes."""
        self._end_unread(ticket, "failed", "failed", reason, received)

    def due(self, peer: str, count: int) -> list[Parcel]:
        """Results for `peer` whose time has come, oldest first, at most `count`."""
        with self._lock:
            rows = self._base.execute(
                "SELECT ticket, file, received, deliveries.tries, failing FROM deliveries JOIN images USING (ticket) "
                "WHERE peer = ? AND due <= ? ORDER BY due, ticket, file DESC LIMIT ?",
                (peer, time.time(), count),
            ).fetchall()
        return [Parcel(name, peer, self._results(name) / file, *numbers) for name, file, *numbers in rows]

    def delivered(self, parcel: Parcel) -> bool:
        """Note that the peer has it; True where the image is thereby answered in full."""
        return self._done(parcel)

    def give_up(self, parcel: Parcel, reason: str) -> None:
        """Note that the peer will not get it."""
        with self._exclusive():
            self._base.execute("UPDATE images SET fault = ? WHERE ticket = ?", (reason, parcel.ticket))
            self._done(parcel)

    def postpone(self, parcel: Parcel, seconds: float) -> None:
        """Try it again after `seconds`."""
        with self._exclusive():
            now = time.time()
            self._base.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ?, failing = coalesce(failing, ?) "
                "WHERE ticket = ? AND peer = ? AND file = ?",
                (now + seconds, now, parcel.ticket, parcel.peer, parcel.path.name),
            )

    def postpone_all(self, peer: str, seconds: float) -> None:
        """Try all that is due for a peer again after `seconds`."""
        with self._exclusive():
            now = time.time()
            self._base.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ?, failing = coalesce(failing, ?) WHERE peer = ? AND due <= ?",
                (now + seconds, now, peer, now),
            )

    def undelivered_to(self) -> dict[str, int]:
        """The number of results that wait for each peer."""
        return {peer: debt.results for peer, debt in self.debts().items()}

    def debts(self) -> dict[str, Debt]:
        """What waits for each peer."""
        with self._lock:
            rows = self._base.execute(
                "SELECT peer, count(*), min(received), count(failing), min(failing) FROM deliveries JOIN images USING (ticket) "
                "GROUP BY peer ORDER BY peer"
            ).fetchall()
        return {peer: Debt(*numbers) for peer, *numbers in rows}

    def forget(self, days: float) -> int:
        """Drop the rows of images that ended more than `days` ago; one that is sent again is then read again.

        What is kept of those that ended longer ago than files are kept goes too.
        """
        now = time.time()
        with self._exclusive():
            for names, remove, kept in (
                (self._names("images"), self._remove_image, self._keep.images),
                (self._names("results"), self._remove_results, self._keep.results),
            ):
                if kept:
                    for name in names & self._ended_before(now - kept * _DAY):
                        remove(name)
            old = self._ended_before(now - days * _DAY)
            for name in old:
                self._drop(name)
        return len(old)

    def drop_kept(self, enough: Callable[[], bool]) -> int:
        """Remove files that are kept of images that ended, those of the oldest first, until `enough`.

        Returns:
            Of how many images.
        """
        dropped = 0
        with self._exclusive():
            there = self._names("images") | self._names("results")
            rows = self._base.execute(f"SELECT ticket FROM images WHERE {_ENDED} ORDER BY finished").fetchall()
            for (name,) in rows:
                if name not in there:
                    continue
                if enough():
                    break
                self._remove_image(name)
                self._remove_results(name)
                dropped += 1
        return dropped

    def counts(self) -> dict[str, int]:
        """The number of images by state."""
        with self._lock:
            rows = self._base.execute("SELECT state, count(*) FROM images GROUP BY state").fetchall()
        return {**dict.fromkeys(tables.STATES, 0), **dict(rows)}

    def outcomes(self) -> dict[str, int]:
        """The number of images by outcome: pending are those that are not read yet, unknown what an older node answered."""
        with self._lock:
            rows = self._base.execute(
                "SELECT CASE WHEN outcome != '' THEN outcome WHEN state = 'waiting' THEN 'pending' ELSE 'unknown' END, "
                "count(*) FROM images GROUP BY 1"
            ).fetchall()
        return {**dict.fromkeys((*tables.OUTCOMES, "pending", "unknown"), 0), **dict(rows)}

    def rows(
        self,
        state: str | None = None,
        *,
        outcome: str | None = None,
        limit: int = 100,
        before: tuple[float, str] | None = None,
    ) -> list[Row]:
        """What the books say, newest first, at most `limit`.

        Arguments:
            state, outcome: only these; None: all.
            before: `received` and `ticket` of the last row of the page before.

        Raises:
            ValueError: there is no such state.
        """
        if state is not None and state not in tables.STATES:
            raise ValueError(f"no state {state!r}; there are {', '.join(tables.STATES)}")
        wanted, values = ["1"], list[Any]()
        for condition, value in (("state = ?", state), ("outcome = ?", outcome)):
            if value is not None:
                wanted.append(condition)
                values.append(value)
        if before is not None:
            wanted.append("(received, ticket) < (?, ?)")
            values += before
        return self._rows(f"{' AND '.join(wanted)} ORDER BY received DESC, ticket DESC LIMIT ?", *values, limit)

    def row(self, ticket: str) -> Row | None:
        """What the books say of one image."""
        return next(iter(self._rows("ticket = ?", ticket)), None)

    def kept_image(self, ticket: str) -> Path | None:
        """The file of an image, as long as it lies in the node's folder."""
        return self._image(ticket) if self._image(ticket).is_file() else None

    def kept_results(self, ticket: str) -> list[Path]:
        """The files of an image's results, as long as they lie in the node's folder."""
        return sorted(self._results(ticket).glob("*.dcm"))

    def in_vain(self, seconds: float) -> dict[str, int]:
        """The number of images that were given up, and that were not delivered, in the last `seconds`."""
        with self._lock:
            return {
                name: self._base.execute(
                    f"SELECT count(*) FROM images WHERE {condition}", (time.time() - seconds,)
                ).fetchone()[0]
                for name, condition in _IN_VAIN.items()
            }

    def untold(self, event: str, seconds: float) -> list[Row]:
        """Those of `in_vain`, by its names, of which no alert was sent."""
        return self._rows(f"{_IN_VAIN[event]} AND NOT told ORDER BY received", time.time() - seconds)

    def told(self, tickets: Iterable[str]) -> None:
        """Note that an alert of each was sent."""
        with self._transaction():
            self._base.executemany("UPDATE images SET told = 1 WHERE ticket = ?", [(name,) for name in tickets])

    def find(self, name: str) -> list[Row]:
        """The images that `name` names: a ticket, the first 8 or more letters of one, or a SOP Instance UID."""
        if not _TICKET.fullmatch(name):
            return self._rows("image = ? ORDER BY received", ticket(name))
        return self._rows("ticket = ? ", name) or self._rows(
            "substr(ticket, 1, ?) = ? ORDER BY received", len(name), name
        )

    def reread(self, ticket: str) -> bool:
        """Have an image that ended read again, as if it came in now.

        Returns:
            False where its file was not kept: then it is read again if it is sent again.

        Raises:
            ValueError: it waits, or its results do, or there is no such image.
        """
        with self._exclusive():
            self._require_ended(ticket)
            kept = self._image(ticket).is_file()
            if kept:
                self._base.execute(
                    "UPDATE images SET state = 'waiting', outcome = '', reason = '', fault = '', received = ?, "
                    "finished = NULL, tries = 0, told = 0 WHERE ticket = ?",
                    (time.time(), ticket),
                )
                self._remove_results(ticket)
            else:
                self._base.execute("UPDATE images SET content = '' WHERE ticket = ?", (ticket,))  # like no other
        return kept

    def resend(self, ticket: str, peers: Iterable[str] = ()) -> int:
        """Have the results of an image sent again, or now where they wait.

        Arguments:
            peers: titles; none: all that they are or were for.

        Returns:
            How many results; 0 where they were not kept.

        Raises:
            ValueError: it is not answered yet, or there is no such image.
        """
        with self._transaction():
            known = self.row(ticket)
            if known is None or known.state == "waiting":
                raise ValueError("it is not answered yet" if known else "no such image")
            names = [path.name for path in self.kept_results(ticket)]
            wanted = tuple(peers) or known.receivers
            if known.state == "answering" and not peers:
                wanted = tuple(known.waiting)
            if not names or not wanted:
                return 0
            self._base.executemany(
                "DELETE FROM deliveries WHERE ticket = ? AND peer = ?", [(ticket, peer) for peer in wanted]
            )
            self._deliver(ticket, wanted, names, time.time())
            self._base.execute(
                "UPDATE images SET state = 'answering', finished = NULL, fault = '', told = told AND outcome = 'failed' "
                "WHERE ticket = ?",
                (ticket,),
            )
        return len(names) * len(wanted)

    def drop(self, ticket: str, *, force: bool = False) -> None:
        """Strike an image from the books, with its files.

        Arguments:
            force: even where it was not read yet, or not all of its results were taken.

        Raises:
            ValueError: it waits, or its results do, and `force` is not set; or there is no such image.
        """
        with self._exclusive():
            if not force or self.row(ticket) is None:
                self._require_ended(ticket)
            self._drop(ticket)

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

    def _rows(self, condition: str, *values: Any) -> list[Row]:
        with self._lock:
            found = self._base.execute(
                "SELECT ticket, sender, receivers, state, outcome, reason, fault, received, finished, tries, "
                "(SELECT json_group_object(peer, number) FROM (SELECT peer, count(*) AS number FROM deliveries "
                f"WHERE deliveries.ticket = images.ticket GROUP BY peer)) FROM images WHERE {condition}",
                values,
            ).fetchall()
            return [
                Row(
                    ticket=name,
                    sender=sender,
                    receivers=tuple(json.loads(receivers or "[]")),
                    state=state,
                    outcome=outcome,
                    reason=reason,
                    fault=fault,
                    received=received,
                    finished=finished,
                    tries=tries,
                    waiting=json.loads(waiting),
                    image=self._image(name).is_file(),
                    results=self._results(name).is_dir(),
                )
                for (
                    name, sender, receivers, state, outcome, reason, fault, received, finished, tries, waiting
                ) in found
            ]  # fmt: skip

    def _require_ended(self, ticket: str) -> None:
        known = self.row(ticket)
        if known is None:
            raise ValueError("no such image")
        if known.finished is None:
            raise ValueError("it waits to be read" if known.state == "waiting" else "its results are being sent")

    def _image(self, ticket: str) -> Path:
        return self.folder / "images" / f"{ticket}.dcm"

    def _results(self, ticket: str) -> Path:
        return self.folder / "results" / ticket

    def _remove_image(self, ticket: str) -> None:
        self._image(ticket).unlink(missing_ok=True)

    def _remove_results(self, ticket: str) -> None:
        shutil.rmtree(self._results(ticket), ignore_errors=True)

    def _names(self, folder: str) -> set[str]:
        """The tickets of which there are files."""
        return {path.name.removesuffix(".dcm") for path in (self.folder / folder).iterdir()}

    def _ended_before(self, moment: float) -> set[str]:
        rows = self._base.execute(f"SELECT ticket FROM images WHERE {_ENDED} AND finished < ?", (moment,)).fetchall()
        return {name for (name,) in rows}

    def _deliver(self, ticket: str, peers: Iterable[str], names: Iterable[str], due: float) -> None:
        self._base.executemany(
            "INSERT OR IGNORE INTO deliveries (ticket, peer, file, due) VALUES (?, ?, ?, ?)",
            [(ticket, peer, name, due) for peer in peers for name in names],
        )

    def _done(self, parcel: Parcel) -> bool:
        """Strike it off; True where it was the last of its image, and each of them was taken."""
        with self._exclusive():
            struck = self._base.execute(
                "DELETE FROM deliveries WHERE ticket = ? AND peer = ? AND file = ?",
                (parcel.ticket, parcel.peer, parcel.path.name),
            ).rowcount
            if not struck or self._one("SELECT 1 FROM deliveries WHERE ticket = ?", parcel.ticket):
                return False
            return self._end(parcel.ticket)

    def _end_unread(self, ticket: str, state: str, outcome: str, reason: str, received: float | None) -> None:
        with self._exclusive():
            known = self._base.execute("SELECT received FROM images WHERE ticket = ?", (ticket,)).fetchone()
            if known and received in (None, known[0]):
                self._close(ticket, state, outcome=outcome, reason=reason)

    def _end(self, ticket: str) -> bool:
        """Close an image that was answered, of which no result waits; True where all were taken."""
        outcome, fault, receivers = self._one("SELECT outcome, fault, receivers FROM images WHERE ticket = ?", ticket) or (
            "", "", "",
        )  # fmt: skip
        if receivers == "[]" and not self._keep.results:
            fault = "nobody to send results to"
        state = {"not analysed": "refused", "failed": "failed"}.get(outcome, "answered")
        self._close(ticket, "undelivered" if fault else state, fault=fault)
        return not fault

    def _close(self, ticket: str, state: str, **values: str) -> None:
        settings = "".join(f", {name} = ?" for name in values)
        with self._exclusive():  # until its files are gone: it may be sent again, and must not find the old ones
            self._base.execute(
                f"UPDATE images SET state = ?, finished = ?{settings} WHERE ticket = ?",
                (state, time.time(), *values.values(), ticket),
            )
            if not self._keep.images:
                self._remove_image(ticket)
            if not self._keep.results:
                self._remove_results(ticket)

    def _drop(self, ticket: str) -> None:
        with self._transaction():
            self._base.execute("DELETE FROM deliveries WHERE ticket = ?", (ticket,))
            self._base.execute("DELETE FROM images WHERE ticket = ?", (ticket,))
        self._remove_image(ticket)
        self._remove_results(ticket)

    def _one(self, query: str, *values: str) -> tuple[str, ...] | None:
        row: tuple[str, ...] | None = self._base.execute(query, values).fetchone()
        return row

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One thread of one process at a time."""
        with self._lock:
            if not self._depth:
                fcntl.flock(self._between, fcntl.LOCK_EX)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    fcntl.flock(self._between, fcntl.LOCK_UN)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._exclusive():
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
        with self._exclusive():
            rows = self._base.execute("SELECT ticket, state FROM images").fetchall()
            images, results = {"waiting"}, {"answering"}
            ended = {"answered", *tables.IN_VAIN}
            images |= {"answering", *ended} if self._keep.images else set()
            results |= ended if self._keep.results else set()
            states = dict(rows)
            for name in self._names("images"):
                if states.get(name) not in images:
                    self._remove_image(name)
            for name in self._names("results"):
                if states.get(name) not in results:
                    self._remove_results(name)
            for name, state in rows:
                if state == "waiting" and not self._image(name).is_file():
                    self.fail(name, GONE)
                elif state == "answering" and not self._one("SELECT 1 FROM deliveries WHERE ticket = ?", name):
                    self._end(name)


def _sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _content(path: Path) -> str:
    """A hash of the data set in a file: without the preamble and the group before it, in which a sender names itself."""
    with path.open("rb") as stream:
        head = stream.read(144)
        # (0002,0000) UL 4 and the length of the rest of the group (PS3.10, 7.1)
        if head[128:140] == b"DICM\2\0\0\0UL\4\0":
            stream.seek(144 + int.from_bytes(head[140:144], "little"))
        else:
            stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()
