"""How worker processes are started, and how they end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any

THREADED = ("tensorflow", "jax", "torch")  # their threads hold locks that a forked child would wait for, for ever


def context() -> BaseContext:
    """Fork where that is safe: on Linux, without a library's threads in this process; the modules are there already.

    Elsewhere spawn, which needs what is sent to a worker to be picklable.
    """
    safe = sys.platform == "linux" and not any(name in sys.modules for name in THREADED)
    return multiprocessing.get_context("fork" if safe else "spawn")


def count(workers: int) -> int:
    """The number of processes to start: `workers`, or one a core that this process may use where that is 0."""
    if workers < 0:
        raise ValueError(f"workers must be 0 (one a core) or more, got {workers}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return workers or cores or 1


@contextmanager
def pool(workers: int, start: Callable[..., None], *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that call `start(*arguments)` first: on one thread of OpenCV each, ending with this process."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # here, as a forked child that had to stop threads it does not have would wait for ever
    try:
        with ProcessPoolExecutor(workers, context(), _start, (os.getpid(), start, arguments)) as executor:
            try:
                yield executor
            finally:
                executor.shutdown(wait=True, cancel_futures=True)
    finally:
        cv2.setNumThreads(threads)


def _start(parent: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    import cv2

    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    start(*arguments)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: after a `kill -9` of the parent it would wait for tasks for ever."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
