"""The node's eyes: takes waiting images in batches, asks the models, and leaves results to be sent."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.reading_room.node.admission import NotReadError, check
from pneumonia.reading_room.node.queue import MAX_TRIES, Image, Queue
from pneumonia.reading_room.objects import findings, make
from pneumonia.reading_room.predictor import Study, shown
from pneumonia.rejection import StudyError

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger(__name__)
BLANK = Study(np.zeros((64, 64), np.uint8), 1.0)
Predict = Callable[
    [Mapping[str, Study]], "tuple[pd.DataFrame, pd.Series]"
]  # as `pneumonia.reading_room.predictor.Predictor`


class Reader:
    """Reads until `stop` is set.

    Arguments:
        predict: `pneumonia.reading_room.predictor.Predictor`, or what answers like it.
        algorithm, threshold, max_boxes, capture: see `pneumonia.reading_room`.
        window: the section `images.window` of params.yaml.
        accept: which images are read: arguments of `pneumonia.reading_room.node.admission.check`.
        receivers: titles of the peers that get the results of an image, by its sender.
        batch: images at once, at most.
        count: is called with `read`, or the reason why an image is not, and the seconds since its batch was begun.
    """

    def __init__(
        self,
        queue: Queue,
        predict: Predict,
        *,
        algorithm: findings.Algorithm,
        threshold: float,
        max_boxes: int,
        capture: bool,
        window: Mapping[str, Any],
        accept: Mapping[str, Any],
        receivers: Callable[[str], list[str]],
        batch: int,
        count: Callable[[str, float], None],
        stop: threading.Event,
    ) -> None:
        self._queue, self._predict, self._algorithm = queue, predict, algorithm
        self._threshold, self._max_boxes, self._capture, self._window = threshold, max_boxes, capture, window
        self._accept, self._receivers = accept, receivers
        self._batch, self._count, self._stop = batch, count, stop

    def warm_up(self) -> None:
        """Let the models compile for every size of a batch, so that no image waits for it: 1, 2, 4 up to `batch`."""
        sizes = [2**power for power in range((self._batch - 1).bit_length() + 1)]
        for size in sizes:
            self._predict({str(number): BLANK for number in range(size)})

    def serve(self) -> None:
        """Read what waits, then wait for more."""
        while not self._stop.is_set():
            if not self.step():
                self._stop.wait(0.1)

    def step(self) -> int:
        """Read one batch; returns the number of images in it."""
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
                check(data, image.ticket, **self._accept)
                rendering = study_to_uint8(data, **self._window, study=image.ticket)
            except NotReadError as error:
                self._refuse(image, error.reason, str(error), began)
            except StudyError as error:  # its text may quote the file
                self._refuse(image, error.reason.value, error.reason.value, began)
            except Exception as error:
                self._refuse(image, "unreadable", type(error).__name__, began)
            else:
                batch[image.ticket], files[image.ticket] = (
                    Study(rendering.image, rendering.header.aspect),
                    (image, data),
                )
        if batch:
            try:
                fused, scores = self._predict(batch)
                found = shown(fused, self._threshold, self._max_boxes)
            except Exception as error:  # tried again, alone; then given up
                LOG.error("failed images=%d error=%s", len(batch), type(error).__name__)
                self._check_models(batch)
                return len(images)
            try:
                for name, (image, data) in files.items():
                    self._answer(image, data, batch[name], found, float(scores[name]), began)
            except (OSError, sqlite3.Error):  # the disk's fault
                self._queue.put_back(batch)
                raise
        return len(images)

    def _check_models(self, batch: Mapping[str, Study]) -> None:
        """Raise where the models fail on any image: then this is no fault of those of `batch`, which wait on."""
        try:
            self._predict({"blank": BLANK})
        except Exception:
            self._queue.put_back(batch)
            raise

    def _answer(self, image: Image, data: bytes, study: Study, found: pd.DataFrame, score: float, began: float) -> None:
        name = image.ticket
        said = findings.of_study(found, name, score, self._threshold)
        try:
            made = make.make(data, study.image, said, self._algorithm, capture=self._capture)
        except StudyError as error:
            self._refuse(image, error.reason.value, error.reason.value, began)
            return
        except Exception as error:
            LOG.error("failed image=%s error=%s", name, type(error).__name__)  # tried again, then given up
            return

        def write(folder: Path) -> list[Path]:
            return make.write(folder, "result", made)

        self._queue.answer(name, write, self._receivers(image.sender))
        seconds = time.monotonic() - began
        self._count("read", seconds)
        LOG.info("read image=%s boxes=%d seconds=%.2f", name, len(said.boxes), seconds)

    def _refuse(self, image: Image, reason: str, detail: str, began: float) -> None:
        self._queue.refuse(image.ticket, detail)
        self._count(reason, time.monotonic() - began)
        LOG.warning("not read image=%s from=%s reason=%s", image.ticket, image.sender, detail)
