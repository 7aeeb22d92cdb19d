"""What the queue's books say: images by state, by outcome and one by one, and which an alert was sent of."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from pneumonia.reading_room.node import tables
from pneumonia.reading_room.node.base import Base
from pneumonia.reading_room.node.disk import Disk
from pneumonia.reading_room.node.records import Row, ticket

_IN_VAIN = {
    "failed": "outcome = 'failed' AND coalesce(finished, received) > ?",
    "undelivered": "state = 'undelivered' AND outcome != 'failed' AND finished > ?",
}
_TICKET = re.compile(r"[0-9a-f]{8,32}(-\d+)?")


class Books:
    """Safe to use from several threads."""

    def __init__(self, base: Base, disk: Disk) -> None:
        self._base, self._disk = base, disk

    def counts(self) -> dict[str, int]:
        """The number of images by state."""
        with self._base.lock:
            rows = self._base.run("SELECT state, count(*) FROM images GROUP BY state").fetchall()
        return {**dict.fromkeys(tables.STATES, 0), **dict(rows)}

    def outcomes(self) -> dict[str, int]:
        """The number of images by outcome: pending are those that are not read yet, unknown what an older node answered."""
        with self._base.lock:
            rows = self._base.run(
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

    def find(self, name: str) -> list[Row]:
        """The images that `name` names: a ticket, the first 8 or more letters of one, or a SOP Instance UID."""
        if not _TICKET.fullmatch(name):
            return self._rows("image = ? ORDER BY received", ticket(name))
        return self._rows("ticket = ? ", name) or self._rows(
            "substr(ticket, 1, ?) = ? ORDER BY received", len(name), name
        )

    def in_vain(self, seconds: float) -> dict[str, int]:
        """The number of images that were given up, and that were not delivered, in the last `seconds`."""
        with self._base.lock:
            return {
                name: self._base.run(
                    f"SELECT count(*) FROM images WHERE {condition}", (time.time() - seconds,)
                ).fetchone()[0]
                for name, condition in _IN_VAIN.items()
            }

    def untold(self, event: str, seconds: float) -> list[Row]:
        """Those of `in_vain`, by its names, of which no alert was sent."""
        return self._rows(f"{_IN_VAIN[event]} AND NOT told ORDER BY received", time.time() - seconds)

    def told(self, tickets: Iterable[str]) -> None:
        """Note that an alert of each was sent."""
        with self._base.transaction():
            self._base.many("UPDATE images SET told = 1 WHERE ticket = ?", [(name,) for name in tickets])

    def require_ended(self, ticket: str) -> None:
        """Refuse an image that is not done with.

        Raises:
            ValueError: it waits, or its results do, or there is no such image.
        """
        known = self.row(ticket)
        if known is None:
            raise ValueError("no such image")
        if known.finished is None:
            raise ValueError("it waits to be read" if known.state == "waiting" else "its results are being sent")

    def _rows(self, condition: str, *values: Any) -> list[Row]:
        with self._base.lock:
            found = self._base.run(
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
                    image=self._disk.image(name).is_file(),
                    results=self._disk.results(name).is_dir(),
                )
                for (
                    name, sender, receivers, state, outcome, reason, fault, received, finished, tries, waiting
                ) in found
            ]  # fmt: skip
