"""Worker processes: how many, how they start, what they do not do. That they end with their parent: data/test_shards.py."""

import os
import sys

import pytest

from pneumonia import processes

started: list[str] = []  # in a worker


def start(word: str) -> None:
    started.append(word)


def state(number: int) -> tuple[int, list[str], int, int]:
    import cv2

    return number * number, started, cv2.getNumThreads(), os.getpid()


def test_count(monkeypatch: pytest.MonkeyPatch):
    assert processes.count(3) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5, 7}, raising=False)
    assert processes.count(0) == 4
    with pytest.raises(ValueError, match=r"workers must be 0 .* got -1"):
        processes.count(-1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is always spawn")
def test_a_process_with_threads_of_a_library_is_not_forked(monkeypatch: pytest.MonkeyPatch):
    for name in processes.THREADED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert processes.context().get_start_method() == "fork"
    monkeypatch.setitem(sys.modules, "tensorflow", os)
    assert processes.context().get_start_method() == "spawn"


def test_workers_start_once_and_take_one_thread_of_opencv():
    import cv2

    before = cv2.getNumThreads()
    with processes.pool(2, start, "ready") as executor:
        found = list(executor.map(state, range(8)))
    assert [square for square, *_ in found] == [0, 1, 4, 9, 16, 25, 36, 49]
    assert all(words == ["ready"] and threads == 1 and process != os.getpid() for _, words, threads, process in found)
    assert cv2.getNumThreads() == before
