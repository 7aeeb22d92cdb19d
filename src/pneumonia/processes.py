"""How worker processes are started."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.context import BaseContext

THREADED = ("tensorflow", "jax", "torch")  # their threads hold locks that a forked child would wait for, for ever


def context() -> BaseContext:
    """Fork where that is safe: on Linux, without a library's threads in this process; the modules are there already.

    Elsewhere spawn, which needs what is sent to a worker to be picklable.
    """
    safe = sys.platform == "linux" and not any(name in sys.modules for name in THREADED)
    return multiprocessing.get_context("fork" if safe else "spawn")
