"""Runs two programs in turn, A B A B, each in a process of its own, and compares what they report.

A worker prints one JSON object: `{"seconds": [per unit of work, ...], "peak_mb": memory}`. Machines drift, so a ratio is
taken pair by pair and its median told with its range.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence


def measure(work: Callable[[], object], units: int, repeats: int, warm_up: int = 2) -> None:
    """Run `work` and print, for a worker, the seconds of each of `repeats` calls over `units` and the peak memory."""
    for _ in range(warm_up):
        work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append((time.perf_counter() - start) / units)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def compare(name: str, a: Sequence[str], b: Sequence[str], rounds: int, unit: str) -> None:
    """Print the medians of A and B (commands), the ratio A/B over the rounds, and the peak memory of both."""
    pairs = [(_run(a), _run(b)) for _ in range(rounds)]
    ratios = sorted(statistics.median(x["seconds"]) / statistics.median(y["seconds"]) for x, y in pairs)
    medians = [statistics.median(statistics.median(pair[side]["seconds"]) for pair in pairs) for side in (0, 1)]
    peaks = [max(pair[side]["peak_mb"] for pair in pairs) for side in (0, 1)]
    print(
        f"{name}: ours {medians[0] * 1000:.0f} ms a {unit}, {peaks[0]:.0f} MB; theirs {medians[1] * 1000:.0f} ms, "
        f"{peaks[1]:.0f} MB; ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def _run(command: Sequence[str]) -> dict:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
