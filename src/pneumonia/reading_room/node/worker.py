"""The node's eyes: takes waiting images in batches, has them read, and leaves results to be sent."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pneumonia.reading_room.ensemble import Study
from pneumonia.reading_room.node.queue import MAX_TRIES, Image, Queue
from pneumonia.reading_room.objects import make
from pneumonia.reading_room.objects.findings import Findings
from pneumonia.reading_room.reader import BLANK, Reader
from pneumonia.rejection import StudyError

LOG = logging.getLogger(__name__)


class Worker:
    """Works until `stop` is set.

    Arguments:
        reader: is given each image under its ticket.
        receivers: titles of the peers that get the results of an image, by its sender.
        batch: images at once, at most.
        count: is called with `read`, or the reason why an image is not, and the seconds since its batch was begun.
        wake: is set where there may be something to read, or `stop` is set.
    """

    def __init__(
        self,
        queue: Queue,
        reader: Reader,
        *,
        receivers: Callable[[str], list[str]],
        batch: int,
        count: Callable[[str, float], None],
        stop: threading.Event,
        wake: threading.Event | None = None,
    ) -> None:
        self._queue, self._reader, self._receivers = queue, reader, receivers
        self._batch, self._count, self._stop, self._wake = batch, count, stop, wake or threading.Event()

    def serve(self) -> None:
        """Have read what waits, then wait for more."""
        while not self._stop.is_set():
            self._wake.clear()
            if not self.step():
                self._wake.wait(0.5)

    def step(self) -> int:
        """Have one batch read.

        Returns:
            The number of images in it.
        """
        images = self._queue.take(self._batch)
        began = time.monotonic()
        batch: dict[str, Study] = {}
        files: dict[str, tuple[Image, bytes]] = {}
        for image in images:
            if image.tries > MAX_TRIES:
                self._refuse(image, "failed", f"not read in {MAX_TRIES} tries", began)
                continue
            data = image.path.read_bytes()
            try:
                batch[image.ticket] = self._reader.read(data, image.ticket)
            except StudyError as error:
                self._refuse(image, error.reason, error.discreet, began)
            except MemoryError:
                LOG.error("failed image=%s error=MemoryError", image.ticket)  # tried again, then given up
            else:
                files[image.ticket] = image, data
        if batch:
            try:
                answer = self._reader.answer(batch)
            except Exception as error:  # tried again, alone; then given up
                LOG.error("failed images=%d error=%s", len(batch), type(error).__name__)
                self._check_models(batch)
                return len(images)
            try:
                for name, (image, data) in files.items():
                    self._answer(image, data, batch[name], answer.findings[name], began)
            except (OSError, sqlite3.Error):  # the disk's fault
                self._queue.put_back(batch)
                raise
        return len(images)

    def _check_models(self, batch: Mapping[str, Study]) -> None:
        """Raise where the models fail on any image: then this is no fault of those of `batch`, which wait on."""
        try:
            self._reader.answer({"blank": BLANK})
        except Exception:
            self._queue.put_back(batch)
            raise

    def _answer(self, image: Image, data: bytes, study: Study, findings: Findings, began: float) -> None:
        try:
            objects = self._reader.objects(data, study, findings)
        except StudyError as error:
            self._refuse(image, error.reason, error.discreet, began)
            return
        except Exception as error:
            LOG.error("failed image=%s error=%s", image.ticket, type(error).__name__)  # tried again, then given up
            return

        def write(folder: Path) -> list[Path]:
            return make.write(folder, "result", objects)

        self._queue.answer(image.ticket, write, self._receivers(image.sender))
        seconds = time.monotonic() - began
        self._count("read", seconds)
        LOG.info("read image=%s boxes=%d seconds=%.2f", image.ticket, len(findings.boxes), seconds)

    def _refuse(self, image: Image, reason: str, detail: str, began: float) -> None:
        self._queue.refuse(image.ticket, detail)
        self._count(reason, time.monotonic() - began)
        LOG.warning("not read image=%s from=%s reason=%s", image.ticket, image.sender, detail)
