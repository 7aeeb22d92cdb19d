"""A node that is killed, again and again, while four senders store: each image is answered, and stored once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.reading_room.node.stand_in import Archive, echo, free_port, radiograph, send, settings_to, until

IMAGES = 60


def test_each_accepted_image_is_answered_once(tmp_path: Path, archive: Archive):
    port = free_port()
    settings = settings_to(archive, tmp_path / "node", port, delivery={"first_pause": 0.2})
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(settings))
    log = (tmp_path / "log").open("wb")

    def start() -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "tests.pneumonia.reading_room.node.stand_in",
            str(tmp_path / "serve.yaml"),
            "0.05",
        ]
        return subprocess.Popen(command, cwd=ROOT, stderr=log)

    stored: set[int] = set()

    def sender(first: int) -> None:
        for number in range(first, IMAGES, 4):
            while number not in stored:
                if send(port, [radiograph(number)]) == [0]:
                    stored.add(number)
                else:
                    time.sleep(0.1)

    node = start()
    try:
        until(lambda: echo(port) == 0, 60)
        senders = [threading.Thread(target=sender, args=(first,), daemon=True) for first in range(4)]
        for each in senders:
            each.start()
        for mark in (10, 30):
            until(lambda mark=mark: len(stored) >= mark, 60)
            node.kill()
            node.wait()
            node = start()
        for each in senders:
            each.join(timeout=120)
        assert len(stored) == IMAGES
        until(lambda: len(archive.objects) == 2 * IMAGES, 120)
        time.sleep(0.5)
        images = {
            made.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
            for made in archive.of("PR")
        }
        assert images == {f"1.2.3.4.{number}" for number in range(IMAGES)}
        assert len(archive.of("SR")) == IMAGES
        # Only what was on its way at a kill may have come twice, under the same UID.
        assert archive.came.total() <= 2 * IMAGES + 4
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=60) == 0
    finally:
        node.kill()
        log.close()
    said = (tmp_path / "log").read_text()
    assert "Doe" not in said
    assert "Traceback" not in said
    assert said.rstrip().endswith("ended")


@pytest.mark.parametrize("wrong", ["folder", "port"])
def test_a_second_node_says_what_is_taken(tmp_path: Path, started, wrong: str):
    first = started()
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": first.listener.port if wrong == "port" else free_port(),
        "folder": str(first.queue.folder) if wrong == "folder" else str(tmp_path / "other"),
        "peers": {"ARCHIVE": {"host": "127.0.0.1", "port": 1}},
        "status": {"port": 0},
    }
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "tests.pneumonia.reading_room.node.stand_in", str(tmp_path / "serve.yaml"), "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert ("another node works on" if wrong == "folder" else "Address already in use") in done.stderr
