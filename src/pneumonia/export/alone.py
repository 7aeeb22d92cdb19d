"""One model in a process of its own, measured: `python -m pneumonia.export.alone FOLDER OPTIONS STUDIES BATCH THREADS` prints JSON.

`pneumonia.export.benchmark` starts it. Time counts from the start of the process, as the machine's own books have it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from pneumonia.runtime import bundle, models

REPEATS = 5  # of a single study


def main(folder: Path, options: dict[str, Any], studies: int, batch: int, threads: int) -> dict[str, float]:
    """Load a model, answer one study, then many.

    Arguments:
        folder: a bundle, or a trained model.
        options: score_floor, nms_iou and max_detections of a detector.
        studies: in the measured run.
        batch: studies of a call in it.
        threads: see `pneumonia.runtime.graphs.open_graph`; Keras takes all cores.
    """
    began = time.monotonic() - _age()
    if bundle.holds_bundle(folder):
        model: Any = models.load(folder, threads)
    else:
        from keraskit.compute import devices
        from pneumonia.prediction.inference import load

        devices.configure("cpu")
        model = load(folder.name, folder)
    images = np.random.default_rng(1).integers(0, 256, (studies, model.image_size, model.image_size), np.uint8)

    def answer(first: int, count: int) -> None:
        part = images[first : first + count]
        if hasattr(model, "predict"):
            model.predict(part)
        else:
            model.detect(part, **options)

    answer(0, 1)
    first = time.monotonic() - began
    alone = []
    for number in range(REPEATS):
        start = time.monotonic()
        answer(number % studies, 1)
        alone.append(time.monotonic() - start)
    for start in (0, studies - studies % batch):
        answer(start, batch)  # Keras traces for each size of a batch
    start = time.monotonic()
    for place in range(0, studies, batch):
        answer(place, batch)
    rate = studies / (time.monotonic() - start)
    return {
        "first_s": first,
        "study_ms": 1000 * sorted(alone)[REPEATS // 2],
        "studies_per_s": rate,
        "peak_mib": _peak(),
    }


def _age() -> float:
    """Seconds since this process was started."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # no Linux
        return time.process_time()


def _peak() -> float:
    """Resident memory at most, MiB. What Linux counts for a process begins with that of the one that started it."""
    try:
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    except (OSError, ValueError):  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    path, wanted, *numbers = sys.argv[1:]
    print(json.dumps(main(Path(path), json.loads(wanted), *map(int, numbers))))
