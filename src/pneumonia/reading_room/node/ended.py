"""What becomes of images that are done with: their files go, or stay for a while, and their rows are forgotten in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pneumonia.reading_room.node import tables
from pneumonia.reading_room.node.base import Base
from pneumonia.reading_room.node.books import Books
from pneumonia.reading_room.node.disk import Disk

_DAY = 86_400.0
_ENDED = f"state IN {tables.ENDED}"


@dataclass(frozen=True)
class Keep:
    """Days for which files stay after the answer; they hold what names a patient. 0: they go with it.

    Attributes:
        images: as they came.
        results: as they were sent.
    """

    images: float = 0.0
    results: float = 0.0


class Ended:
    """Safe to use from several threads.

    Attributes:
        keep: how long files stay.
    """

    def __init__(self, base: Base, disk: Disk, books: Books, keep: Keep) -> None:
        self._base, self._disk, self._books, self.keep = base, disk, books, keep

    def close(self, ticket: str, state: str, **values: str) -> None:
        """Note how an image ended; its files go, where they are not kept.

        Arguments:
            values: by column of the books.
        """
        settings = "".join(f", {name} = ?" for name in values)
        with self._base.exclusive():  # until its files are gone: it may be sent again, and must not find the old ones
            self._base.run(
                f"UPDATE images SET state = ?, finished = ?{settings} WHERE ticket = ?",
                (state, time.time(), *values.values(), ticket),
            )
            if not self.keep.images:
                self._disk.remove_image(ticket)
            if not self.keep.results:
                self._disk.remove_results(ticket)

    def drop(self, ticket: str, *, force: bool = False) -> None:
        """Strike an image from the books, with its files.

        Arguments:
            force: even where it was not read yet, or not all of its results were taken.

        Raises:
            ValueError: it waits, or its results do, and `force` is not set; or there is no such image.
        """
        with self._base.exclusive():
            if not force or self._books.row(ticket) is None:
                self._books.require_ended(ticket)
            self._drop(ticket)

    def forget(self, days: float) -> int:
        """Drop the rows of images that ended more than `days` ago; one that is sent again is then read again.

        What is kept of those that ended longer ago than files are kept goes too.
        """
        now = time.time()
        with self._base.exclusive():
            for names, remove, kept in (
                (self._disk.names("images"), self._disk.remove_image, self.keep.images),
                (self._disk.names("results"), self._disk.remove_results, self.keep.results),
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
        with self._base.exclusive():
            there = self._disk.names("images") | self._disk.names("results")
            rows = self._base.run(f"SELECT ticket FROM images WHERE {_ENDED} ORDER BY finished").fetchall()
            for (name,) in rows:
                if name not in there:
                    continue
                if enough():
                    break
                self._disk.remove_image(name)
                self._disk.remove_results(name)
                dropped += 1
        return dropped

    def sweep(self) -> None:
        """Remove files of images that are in no state to have them: what a kill left, and what is kept no more."""
        images, results = {"waiting"}, {"answering"}
        images |= {"answering", *tables.ENDED} if self.keep.images else set()
        results |= set(tables.ENDED) if self.keep.results else set()
        states = dict(self._base.run("SELECT ticket, state FROM images").fetchall())
        for name in self._disk.names("images"):
            if states.get(name) not in images:
                self._disk.remove_image(name)
        for name in self._disk.names("results"):
            if states.get(name) not in results:
                self._disk.remove_results(name)

    def _ended_before(self, moment: float) -> set[str]:
        rows = self._base.run(f"SELECT ticket FROM images WHERE {_ENDED} AND finished < ?", (moment,)).fetchall()
        return {name for (name,) in rows}

    def _drop(self, ticket: str) -> None:
        with self._base.transaction():
            self._base.run("DELETE FROM deliveries WHERE ticket = ?", (ticket,))
            self._base.run("DELETE FROM images WHERE ticket = ?", (ticket,))
        self._disk.remove_image(ticket)
        self._disk.remove_results(ticket)
