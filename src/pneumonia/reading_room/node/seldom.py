"""What happens again and again is said once, and then seldom, with how often it happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MOST = 1000  # things that are remembered; beyond, all are forgotten, and said anew


class Seldom:
    """Safe to use from several threads.

    Arguments:
        seconds: at least, between two times that the same thing is said.
        clock: seconds, rising.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock, self._lock = seconds, clock, threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}  # when it was said, and how often it happened since

    def count(self, what: str) -> int:
        """How often `what` happened since it was last said, this time included; 0: now is not the time to say it."""
        with self._lock:
            said, times = self._seen.get(what, (None, 0))
            if said is not None and self._clock() - said < self._seconds:
                self._seen[what] = said, times + 1
                return 0
            if len(self._seen) >= MOST:
                self._seen.clear()
            self._seen[what] = self._clock(), 0
            return times + 1
