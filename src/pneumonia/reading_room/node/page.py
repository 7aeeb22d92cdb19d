"""The node's page and its DICOMweb, joined to its queue and its reader (settings: `web`)."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import Accepted, ticket
from pneumonia.reading_room.node.settings import Settings, Web
from pneumonia.reading_room.node.web.app import Point, application
from pneumonia.reading_room.node.web.desk import Desk
from pneumonia.reading_room.node.web.guard import LOOPBACK, Tokens, read_tokens
from pneumonia.reading_room.node.web.names import PAGE
from pneumonia.reading_room.node.web.server import Server
from pneumonia.reading_room.node.web.shelf import Shelf, whose

if TYPE_CHECKING:
    from pneumonia.reading_room.reader import Reader

LOG = logging.getLogger(__name__)
MIB = 2**20
ROWS = 200  # of the queue, on the page


class Page:
    """Answers from `serve` to `stop`.

    Arguments:
        web: of `settings`.
        images: SOP classes that are taken.
        health: as of /health.
        count: is called with what happened to an image: `accepted`, `known`, `busy`, `failed`.
        stop: ends `hand_over`.

    Raises:
        OSError: it cannot listen; names the address.
        ValueError: the file of tokens cannot be used.
    """

    def __init__(
        self,
        queue: Queue,
        settings: Settings,
        web: Web,
        *,
        images: tuple[str, ...],
        health: Callable[[], Mapping[str, Any]],
        count: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self._queue, self._limits, self._count, self._stop = queue, settings.limits, count, stop
        names = read_tokens(Path(web.token_file), [PAGE, *settings.peers]) if web.token_file else None
        self._shelf = Shelf(web.keep_images, web.keep_minutes * 60, whose if web.show_patient else None)
        self._point = Point()
        desk = Desk(
            incoming=queue.incoming,
            images=images,
            object_bytes=settings.limits.object_mib * MIB,
            request_bytes=web.request_mib * MIB,
            uploads=settings.limits.associations,
            seconds=settings.limits.seconds,
            shelf=self._shelf,
            ticket=ticket,
            take=self._take,
            busy=self._busy,
            health=health,
            rows=lambda: [dataclasses.asdict(row) for row in queue.books.rows(limit=ROWS)],
        )
        hosts = (*LOOPBACK, f"[{web.host}]" if ":" in web.host else web.host, *web.names)
        tls = (settings.tls.certificate, settings.tls.key) if settings.tls and web.tls else None
        self._server = Server(application(desk, self._point, Tokens(names), hosts), (web.host, web.port), tls)

    @property
    def port(self) -> int:
        """That it listens on."""
        return self._server.port

    def watching(self, reader: Reader) -> Reader:
        """The same reader, and the page shows what it sees."""
        self._point.threshold, self._point.max_boxes = reader.threshold, reader.max_boxes
        admit = self._shelf.admitting(reader.admit) if reader.admit else None
        return dataclasses.replace(reader, predict=self._shelf.predicting(reader.predict), admit=admit)

    def serve(self) -> None:
        """Answer until `stop` is called from another thread."""
        self._server.serve()

    def hand_over(self) -> None:
        """Take results of what was dropped on the page, which has them already, off the queue."""
        while not self._stop.wait(0.1):
            for parcel in self._queue.outbox.due(PAGE, 64):
                self._queue.outbox.delivered(parcel)

    def stop(self) -> None:
        """Answer no more."""
        self._server.stop()

    def close(self) -> None:
        """Let the address go."""
        self._server.close()

    def _busy(self) -> bool:
        full = self._queue.books.counts()["waiting"] >= self._limits.waiting
        return full or self._queue.disk.free_bytes() < self._limits.free_disk_mib * MIB

    def _take(self, sender: str, image: str, path: Path) -> tuple[str, str]:
        if self._busy():
            self._count("busy")
            LOG.warning("busy from=%s", sender)
            return "busy", ""
        size = path.stat().st_size
        try:
            accepted = self._queue.accept(image, path, sender)
            if sender == PAGE and not accepted and self._shelf.get(accepted.ticket) is None:
                accepted = self._anew(image, path, accepted)
        except Exception as error:
            self._count("failed")
            LOG.error("not stored from=%s error=%s", sender, type(error).__name__)
            raise
        outcome = "accepted" if accepted else "known"
        self._count(outcome)
        LOG.info("%s image=%s from=%s bytes=%d", outcome, accepted.ticket, sender, size)
        return outcome, accepted.ticket

    def _anew(self, image: str, path: Path, known: Accepted) -> Accepted:
        """Have an image read again that was answered to the page, which has nothing of it any more."""
        try:
            kept = self._queue.reread(known.ticket)
        except ValueError:  # it waits
            return known
        return dataclasses.replace(known, new=True) if kept else self._queue.accept(image, path, PAGE)
