"""Results that wait to be sent: each to each of its receivers, until that has it or will not get it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from pneumonia.reading_room.node.base import Base
from pneumonia.reading_room.node.books import Books
from pneumonia.reading_room.node.disk import Disk
from pneumonia.reading_room.node.ended import Ended
from pneumonia.reading_room.node.records import Debt, Parcel


class Outbox:
    """Safe to use from several threads."""

    def __init__(self, base: Base, disk: Disk, books: Books, ended: Ended) -> None:
        self._base, self._disk, self._books, self._ended = base, disk, books, ended

    def put(self, ticket: str, peers: Iterable[str], names: Iterable[str], due: float) -> None:
        """Have files of an image's results sent to each of `peers` from `due` on, under a lock of the caller's."""
        self._base.many(
            "INSERT OR IGNORE INTO deliveries (ticket, peer, file, due) VALUES (?, ?, ?, ?)",
            [(ticket, peer, name, due) for peer in peers for name in names],
        )

    def due(self, peer: str, count: int) -> list[Parcel]:
        """Results for `peer` whose time has come, oldest first, at most `count`."""
        with self._base.lock:
            rows = self._base.run(
                "SELECT ticket, file, received, deliveries.tries, failing FROM deliveries JOIN images USING (ticket) "
                "WHERE peer = ? AND due <= ? ORDER BY due, ticket, file DESC LIMIT ?",
                (peer, time.time(), count),
            ).fetchall()
        return [Parcel(name, peer, self._disk.results(name) / file, *numbers) for name, file, *numbers in rows]

    def delivered(self, parcel: Parcel) -> bool:
        """Note that the peer has it; True where the image is thereby answered in full."""
        return self._done(parcel)

    def give_up(self, parcel: Parcel, reason: str) -> None:
        """Note that the peer will not get it."""
        with self._base.exclusive():
            self._base.run("UPDATE images SET fault = ? WHERE ticket = ?", (reason, parcel.ticket))
            self._done(parcel)

    def postpone(self, parcel: Parcel, seconds: float) -> None:
        """Try it again after `seconds`."""
        with self._base.exclusive():
            now = time.time()
            self._base.run(
                "UPDATE deliveries SET tries = tries + 1, due = ?, failing = coalesce(failing, ?) "
                "WHERE ticket = ? AND peer = ? AND file = ?",
                (now + seconds, now, parcel.ticket, parcel.peer, parcel.path.name),
            )

    def postpone_all(self, peer: str, seconds: float) -> None:
        """Try all that is due for a peer again after `seconds`."""
        with self._base.exclusive():
            now = time.time()
            self._base.run(
                "UPDATE deliveries SET tries = tries + 1, due = ?, failing = coalesce(failing, ?) WHERE peer = ? AND due <= ?",
                (now + seconds, now, peer, now),
            )

    def resend(self, ticket: str, peers: Iterable[str] = ()) -> int:
        """Have the results of an image sent again, or now where they wait.

        Arguments:
            peers: titles; none: all that they are or were for.

        Returns:
            How many results; 0 where they were not kept.

        Raises:
            ValueError: it is not answered yet, or there is no such image.
        """
        with self._base.transaction():
            known = self._books.row(ticket)
            if known is None or known.state == "waiting":
                raise ValueError("it is not answered yet" if known else "no such image")
            names = [path.name for path in self._disk.kept_results(ticket)]
            wanted = tuple(peers) or known.receivers
            if known.state == "answering" and not peers:
                wanted = tuple(known.waiting)
            if not names or not wanted:
                return 0
            self._base.many("DELETE FROM deliveries WHERE ticket = ? AND peer = ?", [(ticket, peer) for peer in wanted])
            self.put(ticket, wanted, names, time.time())
            self._base.run(
                "UPDATE images SET state = 'answering', finished = NULL, fault = '', told = told AND outcome = 'failed' "
                "WHERE ticket = ?",
                (ticket,),
            )
        return len(names) * len(wanted)

    def debts(self) -> dict[str, Debt]:
        """What waits for each peer."""
        with self._base.lock:
            rows = self._base.run(
                "SELECT peer, count(*), min(received), count(failing), min(failing) FROM deliveries JOIN images USING (ticket) "
                "GROUP BY peer ORDER BY peer"
            ).fetchall()
        return {peer: Debt(*numbers) for peer, *numbers in rows}

    def undelivered_to(self) -> dict[str, int]:
        """The number of results that wait for each peer."""
        return {peer: debt.results for peer, debt in self.debts().items()}

    def end(self, ticket: str) -> bool:
        """Close an image that was answered, of which no result waits; True where all were taken."""
        outcome, fault, receivers = self._base.one("SELECT outcome, fault, receivers FROM images WHERE ticket = ?", ticket) or (
            "", "", "",
        )  # fmt: skip
        if receivers == "[]" and not self._ended.keep.results:
            fault = "nobody to send results to"
        state = {"not analysed": "refused", "failed": "failed"}.get(outcome, "answered")
        self._ended.close(ticket, "undelivered" if fault else state, fault=fault)
        return not fault

    def _done(self, parcel: Parcel) -> bool:
        """Strike it off; True where it was the last of its image, and each of them was taken."""
        with self._base.exclusive():
            struck = self._base.run(
                "DELETE FROM deliveries WHERE ticket = ? AND peer = ? AND file = ?",
                (parcel.ticket, parcel.peer, parcel.path.name),
            ).rowcount
            if not struck or self._base.one("SELECT 1 FROM deliveries WHERE ticket = ?", parcel.ticket):
                return False
            return self.end(parcel.ticket)
