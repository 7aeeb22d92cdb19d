"""The node's eyes: takes waiting images in batches, has them read, and leaves results to be sent."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pneumonia.reading_room.ensemble import Study
from pneumonia.reading_room.node.queue import GONE, MAX_TRIES, ModelsFailed, Queue
from pneumonia.reading_room.node.records import Image
from pneumonia.reading_room.objects import make
from pneumonia.reading_room.objects.findings import Findings
from pneumonia.reading_room.reader import BLANK, Reader
from pneumonia.rejection import StudyError

if TYPE_CHECKING:
    from pydicom import Dataset

LOG = logging.getLogger(__name__)
FAILED = "failed"  # the reason of an image that the node gives up


class UnreadableFile(RuntimeError):
    """A file of the queue cannot be read: the disk's fault, of which one image may be the only one to suffer."""


class Worker:
    """Works until `stop` is set.

    Arguments:
        reader: is given each image under its ticket.
        receivers: titles of the peers that get the results of an image, by its sender.
        batch: images at once, at most.
        not_analysed: kinds of objects that receivers of an image without findings get, of `sr` and `sc`.
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
        not_analysed: Collection[str] = (),
    ) -> None:
        self._queue, self._reader, self._receivers, self._kinds = queue, reader, receivers, not_analysed
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

        Raises:
            ModelsFailed: they fail on any image; those of the batch wait on.
            OSError, sqlite3.Error: the disk does; they wait on.
            UnreadableFile: one file cannot be read, which costs its image a try; the others wait on.
        """
        images = self._queue.take(self._batch)
        try:
            self._read(images, time.monotonic())
        except (ModelsFailed, OSError, sqlite3.Error):  # no fault of theirs
            self._queue.put_back(image.ticket for image in images)
            raise
        return len(images)

    def _read(self, images: list[Image], began: float) -> None:
        batch: dict[str, Study] = {}
        files: dict[str, tuple[Image, bytes]] = {}
        for image in images:
            try:
                data = image.path.read_bytes()
            except FileNotFoundError:  # who looks after the node had it forgotten, or the disk lost it
                self._end(image, FAILED, GONE, began)
                continue
            except OSError as error:
                if image.tries > MAX_TRIES:
                    self._end(image, FAILED, f"its file cannot be read ({type(error).__name__})", began)
                    continue
                self._queue.put_back(other.ticket for other in images if other is not image)
                raise UnreadableFile(type(error).__name__) from error
            if image.tries > MAX_TRIES:
                # an image that kills the process is not asked for its header again and again
                asked = data if image.tries == MAX_TRIES + 1 else None
                self._end(image, FAILED, f"not read in {MAX_TRIES} tries", began, asked)
                continue
            try:
                batch[image.ticket] = self._reader.read(data, image.ticket)
            except StudyError as error:
                self._end(image, error.reason, error.discreet, began, data)
            except MemoryError:
                LOG.error("failed image=%s error=MemoryError", image.ticket)  # tried again, then given up
            else:
                files[image.ticket] = image, data
        if not batch:
            return
        try:
            answer = self._reader.answer(batch)
        except Exception as error:  # tried again, alone; then given up
            LOG.error("failed images=%d error=%s", len(batch), type(error).__name__)
            self._check_models()
            return
        for name, (image, data) in files.items():
            self._answer(image, data, batch[name], answer.findings[name], began)

    def _check_models(self) -> None:
        """Raise ModelsFailed where they fail on any image."""
        try:
            self._reader.answer({"blank": BLANK})
        except Exception as error:
            raise ModelsFailed(type(error).__name__) from error

    def _answer(self, image: Image, data: bytes, study: Study, findings: Findings, began: float) -> None:
        try:
            objects = self._reader.objects(data, study, findings)
        except StudyError as error:
            self._end(image, error.reason, error.discreet, began, data)
            return
        except Exception as error:
            LOG.error("failed image=%s error=%s", image.ticket, type(error).__name__)  # tried again, then given up
            return
        self._keep(image, objects, "positive" if len(findings.boxes) else "negative")
        seconds = time.monotonic() - began
        self._count("read", seconds)
        LOG.info("read image=%s boxes=%d seconds=%.2f", image.ticket, len(findings.boxes), seconds)

    def _end(self, image: Image, reason: str, detail: str, began: float, data: bytes | None = None) -> None:
        """End an image that has no findings; its receivers are told so where the settings and its header allow it."""
        objects = self._not_analysed(image, detail, data) if data is not None else {}
        if objects:
            self._keep(image, objects, FAILED if reason == FAILED else "not analysed", detail)
        else:
            (self._queue.fail if reason == FAILED else self._queue.refuse)(image.ticket, detail, image.received)
        self._count(reason, time.monotonic() - began)
        LOG.warning("not read image=%s from=%s reason=%s", image.ticket, image.sender, detail)

    def _not_analysed(self, image: Image, reason: str, data: bytes) -> dict[str, Dataset]:
        if not self._kinds:
            return {}
        try:
            objects = make.not_analysed(data, reason, self._reader.algorithm, capture="sc" in self._kinds)
        except MemoryError:  # no fault of the image, which is tried again
            raise
        except Exception as error:  # a header that no object can refer to, or that nobody foresaw
            why = error.discreet if isinstance(error, StudyError) else type(error).__name__
            LOG.warning("no answer image=%s from=%s reason=%s", image.ticket, image.sender, why)
            return {}
        return {kind: each for kind, each in objects.items() if kind in self._kinds}

    def _keep(self, image: Image, objects: dict[str, Dataset], outcome: str, reason: str = "") -> None:
        def write(folder: Path) -> list[Path]:
            return make.write(folder, "result", objects)

        receivers = self._receivers(image.sender)
        self._queue.answer(image.ticket, write, receivers, outcome=outcome, reason=reason, received=image.received)
