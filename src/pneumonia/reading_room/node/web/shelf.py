"""What was seen of the images that were read last, for the page: in memory alone, and only so many for so long."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumonia.schema.table import BOX

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from pneumonia.reading_room.ensemble import Study

PICTURE_SIDE, QUALITY = 1536, 88  # pixels of the longer side, at most; a picture takes 0.1 to 0.5 MB
MAX_BOXES = 100  # of an image, best first
_TICKET = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")  # a study of another name is none of the queue's


@dataclass(frozen=True)
class Seen:
    """An image, and what the models said of it.

    Attributes:
        picture: JPEG, as the models saw it, at most `PICTURE_SIDE` pixels wide and high.
        columns, rows: of the image as stored.
        aspect: the height of a pixel over its width.
        boxes: x, y, width, height, score in pixels of the image as stored, best first, below the operating point too.
        score: of the image, 0 to 1.
        notes: what was mended or chosen for the picture, in fixed sentences.
        moment: when, seconds since the epoch.
    """

    picture: bytes
    columns: int
    rows: int
    aspect: float
    boxes: list[list[float]]
    score: float
    notes: tuple[str, ...]
    moment: float


class Shelf:
    """Safe to use from several threads.

    Arguments:
        keep: images; an older one goes.
        seconds: for which one is kept.
        words: whose image a file is, for a person to read; None: that is never shown, and so not kept.
    """

    def __init__(self, keep: int, seconds: float, words: Callable[[bytes], str] | None = None) -> None:
        self._keep, self._seconds, self._words = keep, seconds, words
        self._seen, self._patients = OrderedDict[str, Seen](), OrderedDict[str, tuple[float, str]]()
        self._lock = threading.Lock()

    @property
    def shows_patients(self) -> bool:
        """Whether it may be seen whose images these are."""
        return self._words is not None

    def predicting(self, predict: Callable[[Mapping[str, Study]], tuple[pd.DataFrame, pd.Series]]) -> Any:
        """The same models, and what they see is put here as they see it."""

        def watched(studies: Mapping[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
            detections, scores = predict(studies)
            for name, study in studies.items():
                if _TICKET.fullmatch(name):
                    own = detections[detections["study"] == name].sort_values("score", ascending=False, kind="stable")
                    boxes = own[[*BOX, "score"]].to_numpy(np.float64)[:MAX_BOXES].round(4).tolist()
                    self.put(name, _seen(study, boxes, float(scores[name])))
            return detections, scores

        return watched

    def admitting(self, admit: Callable[[bytes, str], None]) -> Callable[[bytes, str], None]:
        """The same admission; whose image it is, is noted before, where that may be shown."""
        if self._words is None:
            return admit

        def watched(data: bytes, name: str) -> None:
            admit(data, name)
            if self._words is not None:
                with self._lock:
                    self._patients[name] = time.time(), self._words(data)
                    self._tidy()

        return watched

    def put(self, ticket: str, seen: Seen) -> None:
        """Keep it, in the place of what was there of the same image."""
        with self._lock:
            self._seen.pop(ticket, None)
            self._seen[ticket] = seen
            self._tidy()

    def get(self, ticket: str) -> Seen | None:
        """What is still kept of an image."""
        with self._lock:
            self._tidy()
            return self._seen.get(ticket)

    def all(self) -> dict[str, Seen]:
        """Everything that is still kept, by ticket."""
        with self._lock:
            self._tidy()
            return dict(self._seen)

    def patient(self, ticket: str) -> str:
        """Whose image it is; empty where that is not known, or not to be shown."""
        with self._lock:
            return self._patients.get(ticket, (0.0, ""))[1]

    def _tidy(self) -> None:
        oldest = time.time() - self._seconds
        while self._seen and (len(self._seen) > self._keep or next(iter(self._seen.values())).moment < oldest):
            self._seen.popitem(last=False)
        while self._patients and (len(self._patients) > self._keep or next(iter(self._patients.values()))[0] < oldest):
            self._patients.popitem(last=False)


def _seen(study: Study, boxes: list[list[float]], score: float) -> Seen:
    from pneumonia.pictures import jpeg

    rows, columns = study.image.shape
    notes = tuple(study.rendering.notes) if study.rendering else ()
    picture = jpeg(_fitted(study.image, study.aspect), QUALITY)
    return Seen(picture, columns, rows, study.aspect, boxes, score, notes, time.time())


def _fitted(image: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """With square pixels, and no side longer than a picture's."""
    import cv2

    rows, columns = image.shape
    high, wide = rows * aspect, float(columns)
    scale = min(1.0, PICTURE_SIDE / max(high, wide))
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    if size == (columns, rows):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def whose(data: bytes) -> str:
    """Name, id and birth date of the patient of a DICOM file that was admitted, for a page that may show them."""
    from pneumonia.reading_room.objects.source import read_source

    try:
        header = read_source(data)
        parts = [str(header.get(name, "")).strip() for name in ("PatientName", "PatientID", "PatientBirthDate")]
    except Exception:  # what nobody can read is not shown
        return ""
    return ", ".join(part for part in parts if part)
