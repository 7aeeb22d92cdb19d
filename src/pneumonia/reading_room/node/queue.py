"""What was accepted and not yet answered, on disk: it survives the process, and each image is answered once.

The order of the steps makes a kill at any moment harmless. An image waits as a file (`disk`), its state stands in SQLite
(`base`): the file lies in its place before the row that promises it is committed, and a sender is told "stored" after that;
results lie in theirs before the image becomes "answering", and the image goes after that. Files are synced before the row
that counts on them. What a kill leaves besides is swept at the next start. Results have the same UIDs whenever they are
made, so one that was sent and not yet noted is stored by its receiver once.

An image is known by its ticket, a hash of its SOP Instance UID: what is kept and logged after the answer names no one.
One that comes again is known where the data set, the receivers and what reads it (models, params, settings) are the same;
else it is another image, with a ticket of its own: the same hash and a number.

One node holds the folder, and `pneumonia node` works beside it: what changes rows and files does so under one lock.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from pneumonia.files import fresh_dir
from pneumonia.reading_room.node import tables
from pneumonia.reading_room.node.base import BOOKS, Base
from pneumonia.reading_room.node.books import Books
from pneumonia.reading_room.node.disk import RESERVE, Disk, sync
from pneumonia.reading_room.node.ended import Ended, Keep
from pneumonia.reading_room.node.outbox import Outbox
from pneumonia.reading_room.node.records import Accepted, Image

MAX_TRIES = 3  # of reading one image; a process that died while reading it counts as one
GONE = "its file is gone from the node's folder"


class ModelsFailed(RuntimeError):
    """The models fail on any image: this is no fault of those that wait."""


class Queue:
    """Safe to use from several threads. One node at a time holds the folder; BlockingIOError says another does.

    Arguments:
        reader: says what reads images now: models, params and settings, as one word. An image that another answered is
            not known.
        receivers: titles of the peers that get the results of an image, by its sender.
        keep: how long files stay; None: they go with the answer.
        beside: whether to work beside a node that may be running; then there must be a queue in the folder.

    Attributes:
        folder, incoming: where it lies, and where files lie until they are accepted.
        disk, books, outbox, ended: its parts: files; what is known of images; results that wait; images that are done with.

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
        keep: Keep | None = None,
        beside: bool = False,
    ) -> None:
        if beside and not (folder / BOOKS).is_file():
            raise FileNotFoundError(f"there is no node's queue in {folder}")
        self._reader, self._receivers = reader, receivers
        with ExitStack() as undo:
            self.disk = Disk(folder, beside=beside)
            undo.callback(self.disk.close)
            self.folder, self.incoming = folder, self.disk.incoming
            if not beside:
                self.disk.free_reserve()  # what is about to be opened and swept may need it
            try:
                self._base = Base(folder, beside=beside)
                undo.callback(self._base.close)
                self.books = Books(self._base, self.disk)
                self.ended = Ended(self._base, self.disk, self.books, keep or Keep())
                self.outbox = Outbox(self._base, self.disk, self.books, self.ended)
                if not beside:
                    self._sweep()
                    self.disk.keep_reserve()
            except sqlite3.Error as error:
                raise OSError(f"the queue in {folder} cannot be opened ({error}); is the disk full?") from error
            undo.pop_all()

    def close(self) -> None:
        """Let the folder go."""
        self._base.close()
        self.disk.close()

    def accept(self, image: str, path: Path, sender: str) -> Accepted:
        """Take the file `path`, which lies in `incoming`, for good.

        The file stays, and nothing is taken, where the same image waits or was answered. One that was refused or failed, or
        whose results nobody took, is taken anew.

        Arguments:
            image: `ticket` of its SOP Instance UID.
        """
        sync(path)
        content, receivers, reader = _content(path), json.dumps(self._receivers(sender)), self._reader()
        with self._base.exclusive():
            free, number = image, 1
            rows = self._base.run(
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
            self.disk.remove_results(name)
            path.replace(self.disk.image(name))
            try:
                sync(self.folder / "images")
                self._base.run(
                    "INSERT OR REPLACE INTO images (ticket, image, content, sender, receivers, state, received) "
                    "VALUES (?, ?, ?, ?, ?, 'waiting', ?)",
                    (name, image, content, sender, receivers, time.time()),
                )
            except BaseException:  # as where the disk is full: it is not promised, and must not fill it further
                self.disk.remove_image(name)
                raise
        return Accepted(name, new=True)

    def take(self, count: int) -> list[Image]:
        """The images that wait longest, at most `count`; one that was begun before comes alone.

        The try is noted first: an image that kills the process is not begun for ever (see `MAX_TRIES`). None is begun while
        the disk is so full that no try could be noted, or taken back.
        """
        if self.disk.free_bytes() < RESERVE:
            return []
        with self._base.transaction():
            rows = self._base.run(
                "SELECT ticket, sender, tries, received FROM images WHERE state = 'waiting' ORDER BY received, ticket LIMIT ?",
                (count,),
            ).fetchall()
            rows = rows[:1] if rows and rows[0][2] else [row for row in rows if row[2] == 0]
            self._base.many("UPDATE images SET tries = tries + 1 WHERE ticket = ?", [(name,) for name, *_ in rows])
        return [Image(name, self.disk.image(name), sender, tries + 1, came) for name, sender, tries, came in rows]

    def put_back(self, tickets: Iterable[str]) -> None:
        """A try that failed by no fault of the images does not count."""
        with self._base.transaction():
            self._base.many(
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
        with fresh_dir(self.disk.results(ticket)) as temporary:
            paths = write(temporary)
            for path in (*paths, temporary):
                sync(path)
        sync(self.folder / "results")
        names, now = [path.name for path in paths], time.time()
        with self._base.exclusive():
            with self._base.transaction():
                taken = self._base.run(
                    "UPDATE images SET state = 'answering', receivers = ?, reader = ?, outcome = ?, reason = ? "
                    "WHERE ticket = ? AND state = 'waiting' AND received = coalesce(?, received)",
                    (json.dumps(receivers), reader, outcome, reason, ticket, received),
                ).rowcount
                if taken:
                    self.outbox.put(ticket, receivers, names, now)
            if not taken:  # it was forgotten meanwhile
                self.disk.remove_results(ticket)
            elif not receivers:
                self.outbox.end(ticket)
            elif not self.ended.keep.images:
                self.disk.remove_image(ticket)

    def refuse(self, ticket: str, reason: str, received: float | None = None) -> None:
        """End an image that is not to be read, or cannot be; it goes."""
        self._end_unread(ticket, "refused", "not analysed", reason, received)

    def fail(self, ticket: str, reason: str, received: float | None = None) -> None:
        """Give up an image that may be a good one; it goes."""
        self._end_unread(ticket, "failed", "failed", reason, received)

    def reread(self, ticket: str) -> bool:
        """Have an image that ended read again, as if it came in now.

        Returns:
            False where its file was not kept: then it is read again if it is sent again.

        Raises:
            ValueError: it waits, or its results do, or there is no such image.
        """
        with self._base.exclusive():
            self.books.require_ended(ticket)
            kept = self.disk.kept_image(ticket) is not None
            if kept:
                self._base.run(
                    "UPDATE images SET state = 'waiting', outcome = '', reason = '', fault = '', received = ?, "
                    "finished = NULL, tries = 0, told = 0 WHERE ticket = ?",
                    (time.time(), ticket),
                )
                self.disk.remove_results(ticket)
            else:
                self._base.run("UPDATE images SET content = '' WHERE ticket = ?", (ticket,))  # like no other
        return kept

    def _end_unread(self, ticket: str, state: str, outcome: str, reason: str, received: float | None) -> None:
        with self._base.exclusive():
            known = self._base.run("SELECT received FROM images WHERE ticket = ?", (ticket,)).fetchone()
            if known and received in (None, known[0]):
                self.ended.close(ticket, state, outcome=outcome, reason=reason)

    def _sweep(self) -> None:
        """Remove what a kill left: half-received files, images no one was promised, results of images still waiting."""
        self.disk.clear_incoming()
        with self._base.exclusive():
            self.ended.sweep()
            for name, state in self._base.run("SELECT ticket, state FROM images").fetchall():
                if state == "waiting" and not self.disk.image(name).is_file():
                    self.fail(name, GONE)
                elif state == "answering" and not self._base.one("SELECT 1 FROM deliveries WHERE ticket = ?", name):
                    self.outbox.end(name)


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
