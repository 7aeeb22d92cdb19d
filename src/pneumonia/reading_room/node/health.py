"""What is wrong with a running node: for those who ask it (/health), and for those who are told (alerts)."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from pneumonia.reading_room.node.queue import ModelsFailed, Queue
from pneumonia.reading_room.node.records import Debt
from pneumonia.reading_room.node.settings import Settings

MIB = 2**20
FAILED_FOR = 60.0  # seconds for which a part that failed is said to have


class Health:
    """Looks when it is asked.

    Attributes:
        ready: whether the models are loaded.
        broken: whether they cannot be.
    """

    def __init__(self, queue: Queue, settings: Settings) -> None:
        self._queue, self._settings = queue, settings
        self.ready = self.broken = False
        self._failed, self._models_failed = dict[str, float](), -FAILED_FOR

    def failed(self, part: str, error: Exception) -> None:
        """Note that a part of the node failed now, and will go on."""
        self._failed[part] = time.monotonic()
        if isinstance(error, ModelsFailed):
            self._models_failed = time.monotonic()

    def room(self) -> bool:
        """Whether there is room on disk for more images."""
        return self._queue.disk.free_bytes() >= self._settings.limits.free_disk_mib * MIB

    def said(self) -> dict[str, Any]:
        """Whether every part runs, there is room on disk and images get their answers; images by state and by outcome, and
        what waits for each peer.

        A node whose models are being loaded is healthy, as it takes images, and not yet ready, as it answers none.
        """
        failed = [name for name, moment in self._failed.items() if time.monotonic() - moment < FAILED_FOR]
        room, debts, bounds = self.room(), self._queue.outbox.debts(), self._settings.health
        counts = self._queue.books.counts()
        full = counts["waiting"] >= self._settings.limits.waiting
        found = [*(f"{name} has failed" for name in failed), *(["disk is full"] if not room else [])]
        found += ["queue is full"] if full else []
        found += ["models cannot be loaded"] if self.broken else []
        notes = ["models are being loaded"] if not (self.ready or self.broken) else []
        addressed = [title for title, peer in self._settings.peers.items() if peer.reached]
        in_vain = self._queue.books.in_vain(bounds.hours * 3600)
        found += faults(debts, in_vain, addressed=addressed, **bounds.values())
        return {
            "healthy": not found,
            "ready": self.ready,
            "faults": found,
            "notes": notes,
            "images": counts,
            "outcomes": self._queue.books.outcomes(),
            "waiting_for": waiting(debts),
        }

    def conditions(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What alerts are of, besides images."""
        found: dict[tuple[str, str], dict[str, Any]] = {
            ("peer_away", peer): {"peer": peer, "results": debt.in_vain}
            for peer, debt in self._queue.outbox.debts().items()
            if away(debt, self._settings.health.peer_away_minutes)
        }
        if not self.room():
            found["disk_full", ""] = {}
        if self.broken or time.monotonic() - self._models_failed < FAILED_FOR:
            found["models_failing", ""] = {}
        return found


def faults(
    debts: Mapping[str, Debt],
    in_vain: Mapping[str, int],
    *,
    addressed: Collection[str],
    failed: int,
    undelivered: int,
    hours: float,
    peer_away_minutes: float,
) -> list[str]:
    """What is wrong in the books, in sentences that name no one.

    Arguments:
        debts, in_vain: as the queue gives them, the latter of the last `hours`.
        addressed: peers that results can be sent to.
        failed, undelivered, hours, peer_away_minutes: see `pneumonia.reading_room.node.settings.Health`.
    """
    found = []
    for number, bound, words in (
        (in_vain["failed"], failed, "given up"),
        (in_vain["undelivered"], undelivered, "not delivered"),
    ):
        if number >= bound:
            found.append(f"images {words} in the last {hours:g} hours: {number}")
    for peer, debt in debts.items():
        if peer not in addressed:
            found.append(f"results wait for {peer}, which has no address: {debt.results}")
        elif away(debt, peer_away_minutes):
            found.append(f"results that {peer} does not take: {debt.in_vain}")
    return found


def away(debt: Debt, minutes: float) -> bool:
    """Whether a peer has not taken a result for more than `minutes`: it is away, or refuses this one."""
    return debt.failing is not None and time.time() - debt.failing > 60 * minutes


def waiting(debts: Mapping[str, Debt]) -> dict[str, dict[str, Any]]:
    """What waits for each peer: results, how many of them were tried in vain, seconds since the image of the oldest came in and
    since the first vain try.
    """
    now = time.time()
    return {
        peer: {
            "results": debt.results,
            "in_vain": debt.in_vain,
            "oldest_seconds": round(now - debt.oldest),
            "failing_seconds": None if debt.failing is None else round(now - debt.failing),
        }
        for peer, debt in debts.items()
    }
