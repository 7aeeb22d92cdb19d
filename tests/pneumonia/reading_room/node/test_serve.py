"""A node from its start: it listens before the models are there, and ends when it is told, or cannot go on."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.reading_room.node.stand_in import (
    Archive,
    Model,
    asked,
    echo,
    free_port,
    radiograph,
    send,
    until,
)

from pneumonia.reading_room.node import serve
from pneumonia.reading_room.node.serve import Node

Start = Callable[..., Node]


class Slow(Model):
    """Loads until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def __call__(self, studies: Any) -> Any:
        assert self.go.wait(30)
        return super().__call__(studies)


@pytest.fixture
def model() -> Slow:
    return Slow()


def test_it_listens_and_stores_before_the_models_are_loaded(started: Start, archive: Archive, model: Slow):
    running = started()
    assert send(running.listener.port, [radiograph(number) for number in range(3)]) == [0, 0, 0]
    said = json.loads(asked(running, "health"))  # status 200
    assert (said["healthy"], said["ready"]) == (True, False)
    assert said["notes"] == ["models are being loaded"]
    assert said["images"]["waiting"] == 3
    model.go.set()
    until(lambda: running.queue.books.counts()["answered"] == 3)
    said = json.loads(asked(running, "health"))
    assert (said["healthy"], said["ready"], said["notes"]) == (True, True, [])


def test_it_sends_what_waits_before_the_models_are_loaded(started: Start, archive: Archive, model: Slow):
    archive.close()
    model.go.set()
    first = started()
    send(first.listener.port, [radiograph()])
    until(lambda: first.queue.books.counts()["answering"] == 1)
    first.stop()
    model.go.clear()
    again = Archive(port=archive.port)
    try:
        second = started()
        until(lambda: second.queue.books.counts()["answered"] == 1)
        assert not second.health()["ready"]
    finally:
        model.go.set()
        again.close()


def test_models_that_cannot_be_loaded_end_it_and_lose_nothing(
    started: Start, archive: Archive, model: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object) -> None:
        raise ValueError("models/yolo/model.weights has 3 bytes")

    with monkeypatch.context() as patched, caplog.at_level(logging.INFO):
        patched.setattr("pneumonia.reading_room.reader.Reader.warm_up", fail)
        running = started()
        assert running.ended.wait(10)
        assert running.broken
        assert "models cannot be loaded error=ValueError: models/yolo/model.weights has 3 bytes" in caplog.messages
        assert send(running.listener.port, [radiograph()]) == [0]
        assert running.health()["faults"] == ["models cannot be loaded"]
        running.stop()
    model.go.set()
    running = started()
    until(lambda: running.queue.books.counts()["answered"] == 1)


PROGRAM = """
import sys, time
from pathlib import Path
from tests.pneumonia.reading_room.node.stand_in import Model, node, read
from pneumonia.reading_room.node import serve

class Loading(Model):
    def __call__(self, studies):
        {body}

sys.exit(serve.run(lambda: node(read(Path(sys.argv[1])), Loading())))
"""


@pytest.fixture
def program(tmp_path: Path, archive: Archive) -> Iterator[Callable[[str], tuple[subprocess.Popen[bytes], int, int]]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(body: str) -> tuple[subprocess.Popen[bytes], int, int]:
        port, status = free_port(), free_port()
        settings = {
            "host": "127.0.0.1",
            "port": port,
            "folder": str(tmp_path / "node"),
            "peers": {"ARCHIVE": {"host": "127.0.0.1", "port": archive.port}},
            "status": {"port": status},
            "limits": {"free_disk_mib": 0},
        }
        (tmp_path / "serve.yaml").write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-c", PROGRAM.format(body=body), str(tmp_path / "serve.yaml")]
        running.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE))
        return running[-1], port, status

    yield start
    for each in running:
        each.kill()
        each.communicate()


def test_sigterm_while_the_models_are_loaded(program: Callable[[str], tuple[subprocess.Popen[bytes], int, int]]):
    process, port, _ = program("time.sleep(60)")
    until(lambda: echo(port) == 0, 60)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert time.monotonic() - began < 5
    assert process.stderr is not None
    assert process.stderr.read().decode().rstrip().endswith("ended")


def test_the_status_of_a_process_whose_models_cannot_be_loaded(
    program: Callable[[str], tuple[subprocess.Popen[bytes], int, int]],
):
    process, _, _ = program("raise OSError('no file')")
    assert process.wait(60) == 1
    assert process.stderr is not None
    assert "models cannot be loaded error=OSError: no file" in process.stderr.read().decode()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_frees_itself(
    started: Start, archive: Archive, model: Slow, small_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    """Results wait for a peer that is away; somebody else fills the disk; the node is restarted; the peer comes back."""
    monkeypatch.setattr(serve, "AGAIN_AFTER", 0.2)
    model.go.set()
    archive.close()
    own: dict[str, Any] = {
        "folder": str(small_disk / "node"),
        "limits": {"free_disk_mib": 0, "object_mib": 1},
        "delivery": {"first_pause": 0.2, "longest_pause": 0.5},
    }

    def fill() -> None:
        with (small_disk / "other").open("ab", buffering=0) as other, suppress(OSError):
            while True:
                other.write(os.urandom(2**12))

    running = started(**own)
    assert send(running.listener.port, [radiograph(number) for number in range(20)]) == [0] * 20
    until(lambda: running.queue.books.counts()["answering"] == 20, 60)
    model.go.clear()  # two more wait to be read
    assert send(running.listener.port, [radiograph(number) for number in (20, 21)]) == [0, 0]
    fill()
    assert running.queue.disk.free_bytes() < 2**12
    assert send(running.listener.port, [radiograph(30)]) in ([0xA700], [-1])
    model.go.set()
    running.stop()
    fill()
    running = started(**own)
    again = Archive(port=archive.port)
    try:
        until(lambda: running.queue.books.counts()["answered"] >= 20, 60)
        (small_disk / "other").unlink()
        until(lambda: running.queue.books.counts()["answered"] == 22, 60)
        assert len(again.came) == 44
        assert set(again.came.values()) == {1}
    finally:
        again.close()
