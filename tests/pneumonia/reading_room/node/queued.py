"""A queue of a test's own, and images that come to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket

ONE, TWO = ticket("1.2.3"), ticket("1.2.4")


def to_a(folder: Path, **options: Any) -> Queue:
    return Queue(folder, **{"receivers": lambda sender: ["A"], **options})


def put(queue: Queue, name: str = ONE, content: bytes = b"image") -> bool:
    return queue.accept(name, incoming(queue, content), "SENDER").new


def incoming(queue: Queue, content: bytes = b"image") -> Path:
    path = queue.incoming / "came.dcm"
    path.write_bytes(content)
    return path


def write(folder: Path) -> list[Path]:
    paths = [folder / "result.sr.dcm", folder / "result.pr.dcm"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def answered(queue: Queue, name: str) -> None:
    queue.take(5)
    queue.answer(name, write, ["A"])
    for parcel in queue.outbox.due("A", 5):
        queue.outbox.delivered(parcel)


def killed(queue: Queue, to: Path) -> Queue:
    """What another process finds after this one was killed now."""
    shutil.copytree(queue.folder, to)
    return to_a(to)
