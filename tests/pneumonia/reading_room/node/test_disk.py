"""The folder of a queue: one node's, and for no other user's eyes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumonia.reading_room.node.queue import Queue


def test_two_nodes_cannot_share_a_folder(queue: Queue):
    with pytest.raises(BlockingIOError, match="another node works on"):
        Queue(queue.folder)


def test_no_other_user_can_look(queue: Queue, tmp_path: Path):
    assert queue.folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "known").mkdir(mode=0o755)
    Queue(tmp_path / "known").close()
    assert (tmp_path / "known").stat().st_mode & 0o777 == 0o700
