"""`pneumonia render`: what the models see of each image, to be looked at by a person.

A PNG an image, in its own size, and a table that says which decoder and which window made it. No model is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from pneumonia import processes
from pneumonia.destination import new_dir
from pneumonia.reading_room.inputs import FAILED, RESULTS, SKIPPED, Entry, Inputs
from pneumonia.reading_room.outcomes import Outcomes, counts, described
from pneumonia.rejection import Reason, StudyError
from pneumonia.schema.results import RENDER

WORDS = {RESULTS: "ok", FAILED: "rejected", SKIPPED: "skipped"}
COMPRESSION = 1  # of PNG: a large radiograph takes 0.1 s, and a second at the highest
CHUNK = 4  # studies a task


class _Seen(NamedTuple):
    rendering: dict[str, str]
    reason: str  # why there is no picture


class _Job(NamedTuple):
    inputs: Inputs
    window: dict[str, Any]
    folder: Path


def render(source: Path, output: Path, *, window: Mapping[str, Any], workers: int = 0) -> dict[str, int]:
    """Write each image of `source` to the folder `output` as the models get it.

    Writes `<study>.png` (8 bits, in original size) and `render.csv` (`pneumonia.schema.results.RENDER`): one row a file of
    `source`. Everything appears at once at the end.

    Arguments:
        source: a DICOM, a folder of them or a zip of them; see `pneumonia.reading_room.inputs.Inputs`.
        output: absent or empty, see `pneumonia.destination`.
        window: the section `images.window` of params.yaml as plain values.
        workers: processes, 0 for one a core. Each holds one image.

    Returns:
        The counts files, ok, rejected, skipped; files is the sum of the others.

    Raises:
        ValueError: there is no file, or a process ended, as it does for want of memory.
    """
    from tqdm import tqdm

    inputs = Inputs(source, unique=False)
    if not inputs.entries:
        raise ValueError(f"{source}: no file is there")
    studies = inputs.studies()
    outcomes = Outcomes(RENDER, WORDS)
    with new_dir(output) as folder:
        results = _render_all(_Job(inputs, dict(window), folder.absolute()), studies, processes.count(workers))
        try:
            for entry, seen in tqdm(results, "render", len(studies), unit="image", file=sys.stderr):
                if seen.reason:
                    outcomes.failed(entry, seen.reason)
                else:
                    outcomes.read(entry, seen.rendering)
        except BrokenProcessPool as error:
            raise ValueError("a process ended before its work was done, most likely for want of memory") from error
        rows = outcomes.rows(inputs.entries)
        RENDER.write(folder / RENDER.name, rows)
    count = counts(rows)
    return {"files": len(rows)} | {word: count[word] for word in WORDS.values()}


def _render_all(job: _Job, studies: list[Entry], workers: int) -> Iterator[tuple[Entry, _Seen]]:
    if workers == 1 or len(studies) <= CHUNK:
        yield from ((entry, _render(job, entry)) for entry in studies)
        return
    with processes.pool(workers, _start_process, job) as executor:
        yield from zip(studies, executor.map(_render_in_process, studies, chunksize=CHUNK), strict=True)


def _render(job: _Job, entry: Entry) -> _Seen:
    from pneumonia.dicom.windowing import study_to_uint8
    from pneumonia.pictures import png

    try:
        rendering = study_to_uint8(job.inputs.read(entry), **job.window, study=entry.key)
        picture = png(rendering.image, COMPRESSION)
    except MemoryError:
        raise
    except StudyError as error:
        return _Seen({}, str(error))
    except Exception as error:  # nobody foresaw it
        return _Seen({}, f"{Reason.UNREADABLE}: {type(error).__name__}: {error}")
    (job.folder / f"{entry.key}.png").write_bytes(picture)
    own = described(rendering)
    return _Seen(own | {"notes": " ".join(filter(None, (own["notes"], entry.note)))}, "")


_job: _Job  # of a worker process


def _start_process(job: _Job) -> None:
    global _job
    _job = job


def _render_in_process(entry: Entry) -> _Seen:
    return _render(_job, entry)
