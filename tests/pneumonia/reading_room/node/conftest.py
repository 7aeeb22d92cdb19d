"""A node in this process, and the archive that it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("highdicom")

from tests.pneumonia.reading_room.node.queued import to_a
from tests.pneumonia.reading_room.node.stand_in import Archive, Model, node

from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.serve import Node
from pneumonia.reading_room.node.settings import Settings


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = to_a(tmp_path / "node")
    yield made
    made.close()


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    yield made
    made.close()


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def started(tmp_path: Path, archive: Archive, model: Model) -> Iterator[Callable[..., Node]]:
    """Starts nodes, with settings over those of a test."""
    running: list[Node] = []

    def start(key: str = "", **changes: Any) -> Node:
        known = {
            "host": "127.0.0.1",
            "port": 0,
            "folder": str(tmp_path / "node"),
            "peers": {"ARCHIVE": {"host": "127.0.0.1", "port": archive.port}},
            "status": {"port": 0},
            "limits": {"free_disk_mib": 0, "seconds": 3},
            "delivery": {"first_pause": 0.2},
        }
        made = node(Settings.model_validate({**known, **changes}), model, key)
        running.append(made)
        made.start()
        return made

    yield start
    for made in running:
        made.stop()
