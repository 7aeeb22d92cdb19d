"""`pneumonia benchmark`: what this machine does with each model in each format, side by side in one run.

Each is measured in a process of its own, one after the other. Rates depend on what else the machine does: only ratios within one
run mean something.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pneumonia.runtime import bundle
from pneumonia.runtime.bundle import PACKAGES
from pneumonia.runtime.choice import KERAS
from pneumonia.runtime.graphs import cores
from pneumonia.schema.models import MODELS
from pneumonia.schema.training import DESCRIPTION

BATCH = 16  # studies of a call in the measured run


@dataclass(frozen=True)
class Row:
    """A model in a format.

    Attributes:
        model: its name.
        format: of the bundle; `keras` for a trained model.
        size_mb: of its files, millions of bytes.
        first_s: seconds from the start of a process to its first answer.
        study_ms: milliseconds for one study, the median of some.
        studies_per_s: in batches of `BATCH`.
        peak_mib: resident memory at most, of the process.
    """

    model: str
    format: str
    size_mb: float
    first_s: float
    study_ms: float
    studies_per_s: float
    peak_mib: float


def measure(folders: Sequence[Path], options: Mapping[str, Any], *, studies: int, threads: int) -> list[Row]:
    """Measure every model that lies in `folders`, a folder each.

    Arguments:
        folders: of trained or of exported models.
        options: score_floor, nms_iou and max_detections of the trained detectors; a bundle has its own.
        studies, threads: see `pneumonia.export.alone`.

    Raises:
        ValueError: a folder holds no model, or one cannot be run; says why.
    """
    rows = []
    for folder in folders:
        found = [folder / name for name in MODELS if (folder / name / DESCRIPTION).is_file()]
        if not found:
            raise ValueError(f"{folder} holds no model: wanted a folder of {', '.join(MODELS)}")
        for own in found:
            rows.append(_row(own, options, studies, threads))
    return sorted(rows, key=lambda row: MODELS.index(row.model))


def _row(folder: Path, options: Mapping[str, Any], studies: int, threads: int) -> Row:
    form = KERAS
    if bundle.holds_bundle(folder):
        described = bundle.read(folder)
        form, options = described.format, described.predict or options
    words = [str(folder), json.dumps(dict(options)), *map(str, (studies, BATCH, threads))]
    done = subprocess.run(
        [sys.executable, "-m", "pneumonia.export.alone", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ValueError(f"{folder} cannot be measured: {said[0]}")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    return Row(folder.name, form, size, **json.loads(done.stdout.splitlines()[-1]))


def as_dict(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows and what they were measured with, for comparison with another machine's."""
    packages = {"keras": "keras", **PACKAGES} | {"litert": "ai-edge-litert", KERAS: "keras"}
    return {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": cores()},
        "batch": BATCH,
        "versions": {packages[form]: version(packages[form]) for form in sorted({row.format for row in rows})},
        "rows": [asdict(row) for row in rows],
    }


def text(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    head = ("model", "format", "size MB", "first s", "ms/study", "studies/s", "peak MiB")
    table = [
        (
            row.model,
            row.format,
            f"{row.size_mb:.1f}",
            f"{row.first_s:.2f}",
            f"{row.study_ms:.1f}",
            f"{row.studies_per_s:.1f}",
            f"{row.peak_mib:.0f}",
        )
        for row in rows
    ]
    widths = [max(len(line[place]) for line in (head, *table)) for place in range(len(head))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *table)
    )
