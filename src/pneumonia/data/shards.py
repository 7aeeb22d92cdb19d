"""Writes studies as shards of square uint8 images in several sizes: one decode a study, all cores, resumable by shard.

The work is done by processes of this machine, or by a Dask cluster (one shard a task); the bytes are the same.

    <folder>/<size>/shard-00000.npy           uint8 [rows, size, size], studies sorted by id
    <folder>/<size>/index.csv                 where each study is (`pneumonia.schema.data.INDEX`)
    <state>/<hash>/images/<size>/...          the same while it grows; a shard being filled ends in `.part`
    <state>/<hash>/parts/shard-00000.json     index rows of a finished shard, written last: its presence says "finished"

A process that dies at any moment leaves finished shards and `.part` files behind; the next call with the same inputs
(the hash) keeps the former and fills the latter anew. The result is put in the place of <folder> by one rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, as_completed, wait
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from pneumonia import processes
from pneumonia.data.images.squares import Placement, placement, resize_study, square_rows
from pneumonia.data.images.store import shard_name
from pneumonia.files import read_json, source, write_json
from pneumonia.schema.data import INDEX, UNREADABLE

# The modules that decide the bytes of an image: those that this one reaches, but for how work is spread and files are written.
DECIDING = (
    "keraskit.boxes.arrays", "pneumonia.archive", "pneumonia.data.images.squares", "pneumonia.data.images.store",
    "pneumonia.data.shards", "pneumonia.dicom.decoders", "pneumonia.dicom.elements", "pneumonia.dicom.parsing",
    "pneumonia.dicom.study", "pneumonia.dicom.tables", "pneumonia.dicom.windowing", "pneumonia.rejection",
)  # fmt: skip
CHUNK = 16  # studies a task: about 0.1 s of work, so that the workers end together and the progress bar moves

ReadStudy = Callable[[str], tuple[np.ndarray, str, float]]
"""study id -> (uint8 `[rows, columns]`, window used, height / width of a pixel); raises where it cannot be read."""

Row = dict[str, Any]  # of the index, without what depends on the size; and `reason`, empty where the study was read


@dataclass(frozen=True)
class Task:
    """Some studies of one shard; `start` is the row of the first."""

    shard: int
    start: int
    studies: list[str]


@dataclass(frozen=True)
class Job:
    """What the tasks of one call share."""

    work: Path
    sizes: tuple[int, ...]
    unreadable: str
    open_reader: Callable[[], ReadStudy]

    def part(self, size: int, shard: int) -> Path:
        return self.work / "images" / str(size) / f"{shard_name(shard)}.part"

    def index_part(self, shard: int) -> Path:
        return self.work / "parts" / f"shard-{shard:05d}.json"

    def finished(self, shard: int) -> bool:
        return self.index_part(shard).exists() and all(
            self.part(size, shard).with_suffix("").exists() for size in self.sizes
        )


def write_shards(
    archive_path: str | Path,
    studies: Sequence[str],
    folder: str | Path,
    *,
    sizes: Sequence[int],
    shard_rows: int,
    window: Mapping[str, Any],
    workers: int = 0,
    executor: Literal["processes", "dask"] = "processes",
    scheduler: str = "",
    unreadable: Literal["raise", "skip"] = "raise",
    state: str | Path | None = None,
    open_reader: Callable[[], ReadStudy] | None = None,
) -> dict[str, int]:
    """Write `studies` in every size to `folder/<size>/`; returns the counts `studies`, `resumed`, `unreadable`.

    Arguments:
        archive_path: the zip of studies.
        studies: ids to write, in any order; rows follow the sorted ids.
        folder: replaced as a whole at the end.
        sizes: sides of the squares, pixels.
        shard_rows: studies a `.npy` shard.
        window: `mode`, `center`, `width`, `percentiles`, `choice` of `pneumonia.dicom.windowing.study_to_uint8`.
        workers: processes, 0 for one a core, 1 for this one alone. A process holds one decoded study and `CHUNK` small
            ones, however many studies there are.
        executor: "processes" of this machine, or "dask": the cluster at `scheduler`, whose workers reach the archive and
            `state` at the same paths; then `workers` means nothing.
        scheduler: address of the cluster, such as `tcp://node1:8786`.
        unreadable: "raise" stops at a study that cannot be read; "skip" leaves zeros, the window "unreadable", and a
            row in `<size>/unreadable.csv` (study, reason).
        state: folder of what is finished, removed at the end. Default: `.<name>.state` beside `folder`.
        open_reader: called once a process, gives the function that reads a study. Default: the archive with `window`.
    """
    folder = Path(folder)
    studies = sorted(studies)
    _check(studies, sizes, shard_rows, unreadable)
    reader = open_reader or partial(archive_reader, Path(archive_path).absolute(), dict(window))
    root = Path(state if state is not None else folder.parent / f".{folder.name}.state").absolute()
    inputs = [studies, sorted(sizes), shard_rows, dict(window), unreadable, _versions()]
    job = Job(root / _fingerprint(Path(archive_path), inputs), tuple(sorted(sizes)), unreadable, reader)
    for stale in root.iterdir() if root.exists() else ():
        if stale != job.work:  # of other params or data: never to be used again
            shutil.rmtree(stale)

    shards = [studies[start : start + shard_rows] for start in range(0, len(studies), shard_rows)]
    todo = {number: shard for number, shard in enumerate(shards) if not job.finished(number)}
    for number, shard in todo.items():
        _allocate(job, number, len(shard))
    tasks = [
        Task(number, start, shard[start : start + CHUNK])
        for number, shard in todo.items()
        for start in range(0, len(shard), CHUNK)
    ]
    done: dict[int, list[Row]] = {number: [] for number in todo}
    resumed = len(studies) - sum(map(len, todo.values()))
    interval = 0.5 if sys.stderr.isatty() else 30.0  # seconds; a log wants fewer lines than a terminal
    with tqdm(total=len(studies), initial=resumed, unit="study", desc=folder.name, mininterval=interval) as bar:
        for number, rows in (
            _run_on_cluster(job, tasks, scheduler) if executor == "dask" else _run(job, tasks, processes.count(workers))
        ):
            done[number] += rows
            if len(done[number]) == len(shards[number]):
                _finish(job, number, done.pop(number))
            bar.update(len(rows))
    skipped = _publish(job, len(shards), folder)
    shutil.rmtree(root)
    return {"studies": len(studies), "resumed": resumed, "unreadable": skipped}


def archive_reader(archive_path: Path, window: Mapping[str, Any]) -> ReadStudy:
    """A function that reads a study of the archive and windows it to uint8."""
    from pneumonia.archive import StudyArchive
    from pneumonia.dicom.windowing import study_to_uint8

    archive = StudyArchive(archive_path)

    def read(study: str) -> tuple[np.ndarray, str, float]:
        rendering = study_to_uint8(archive.read(study), **window, study=study)
        return rendering.image, rendering.window, rendering.header.aspect

    return read


def fill(job: Job, read: ReadStudy, task: Task) -> tuple[int, list[Row]]:
    """Do one task: write its rows into the shard's `.part` of every size; returns the shard and the index rows."""
    blocks = {size: np.empty((len(task.studies), size, size), np.uint8) for size in job.sizes}
    rows: list[Row] = []
    for i, study in enumerate(task.studies):
        reason = ""
        try:
            image, used, aspect = read(study)
        except MemoryError:  # no fault of the study
            raise
        except Exception as error:  # whatever a hostile file makes a decoder raise
            if job.unreadable == "raise":
                raise ValueError(
                    f"study {study} cannot be read ({error}): run the stage clean, which rejects it"
                ) from error
            reason = str(getattr(error, "reason", "")) or f"{type(error).__name__}: {error}"
            image, used, aspect = np.zeros((max(job.sizes), max(job.sizes)), np.uint8), "unreadable", 1.0
        for size, block in blocks.items():
            block[i] = resize_study(image, size, aspect)
        height, width = image.shape
        rows.append(
            {
                "study": study,
                "row": task.start + i,
                "columns": width,
                "rows": height,
                "square_rows": square_rows(height, aspect),
                "window": used,
                "reason": reason,
            }
        )
    for size, block in blocks.items():
        path = job.part(size, task.shard)
        pixels = np.load(path, mmap_mode="r").offset  # after the .npy header
        with path.open("r+b") as stream:  # not through a memory map, where a full disk would be a bus error
            stream.seek(pixels + task.start * size * size)
            stream.write(block.data)
    return task.shard, rows


def _run(job: Job, tasks: Iterable[Task], workers: int) -> Iterator[tuple[int, list[Row]]]:
    """Results of the tasks as they end."""
    if workers == 1:
        read = job.open_reader()
        yield from (fill(job, read, task) for task in tasks)
        return
    with processes.pool(workers, _start_process, job) as executor:
        running: set[Future[tuple[int, list[Row]]]] = set()
        for task in tasks:
            running.add(executor.submit(_fill_in_process, task))
            if len(running) >= 4 * workers:  # a few tasks ahead; the rest would only be a long queue
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in as_completed(running))


def _run_on_cluster(job: Job, tasks: Iterable[Task], scheduler: str) -> Iterator[tuple[int, list[Row]]]:
    """Results of the shards as they end."""
    from pneumonia import cluster

    shards = (list(own) for _, own in groupby(tasks, key=attrgetter("shard")))
    return cluster.run(_fill_on_cluster, ((job, own, _versions()) for own in shards), scheduler)


_reader: tuple[Path, ReadStudy] | None = None  # of a cluster's worker; opening an archive means reading its index


def _fill_on_cluster(job: Job, tasks: Sequence[Task], versions: str) -> tuple[int, list[Row]]:
    """The tasks of one shard."""
    global _reader
    if _versions() != versions:
        raise RuntimeError(
            f"worker on {socket.gethostname()}: another version of this project or of OpenCV than where the stage runs; "
            "install the same on every machine"
        )
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
    if _reader is None or _reader[0] != job.work:
        _reader = job.work, job.open_reader()
    read = _reader[1]
    return tasks[0].shard, [row for task in tasks for row in fill(job, read, task)[1]]


_process: tuple[Job, ReadStudy]  # of a worker process


def _start_process(job: Job) -> None:
    global _process
    _process = job, job.open_reader()


def _fill_in_process(task: Task) -> tuple[int, list[Row]]:
    return fill(*_process, task)


def _allocate(job: Job, shard: int, rows: int) -> None:
    """An empty (sparse) file of the final size for each size, to be filled in any order."""
    for size in job.sizes:
        path = job.part(size, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(rows, size, size))


def _finish(job: Job, shard: int, rows: list[Row]) -> None:
    for size in job.sizes:
        path = job.part(size, shard)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())  # a power cut must not leave a "finished" shard of zeros
        path.replace(path.with_suffix(""))
    write_json(job.index_part(shard), {"rows": sorted(rows, key=lambda row: row["row"])})


def _publish(job: Job, shards: int, folder: Path) -> int:
    """Write the indices, put the images in the place of `folder`; returns the number of unreadable studies."""
    parts = [pd.DataFrame(read_json(job.index_part(number))["rows"]).assign(shard=number) for number in range(shards)]
    table = pd.concat(parts, ignore_index=True)
    failed = table.loc[table["reason"] != "", list(UNREADABLE.columns)]
    for size in job.sizes:
        for left in (job.work / "images" / str(size)).glob(".*"):
            left.unlink()  # a temporary index of a run that was killed right here
        shapes = zip(table["columns"], table["rows"], table["square_rows"], strict=True)
        places = [placement(c, r, size, high / r) for c, r, high in shapes]
        index = pd.concat([table, pd.DataFrame(places, columns=list(Placement._fields))], axis=1)
        INDEX.write(job.work / "images" / str(size) / INDEX.name, index)
        if job.unreadable == "skip":
            UNREADABLE.write(job.work / "images" / str(size) / UNREADABLE.name, failed)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(job.work / "images", folder)  # a rename, where both are on one file system
    return len(failed)


def _check(studies: list[str], sizes: Sequence[int], shard_rows: int, unreadable: str) -> None:
    if not studies:
        raise ValueError("studies is empty, there is nothing to write: data/clean/rejected.csv may say why")
    if len(set(studies)) != len(studies):
        raise ValueError("studies holds an id twice, wanted each once: clean rejects duplicates")
    if not sizes or min(sizes) < 1 or len(set(sizes)) != len(sizes):
        raise ValueError(f"sizes must be different pixel counts above 0, got {list(sizes)}")
    if shard_rows < 1:
        raise ValueError(f"shard_rows must be at least 1, got {shard_rows}")
    if unreadable not in ("raise", "skip"):
        raise ValueError(f"unreadable must be 'raise' or 'skip', got {unreadable!r}")


def _fingerprint(archive: Path, inputs: list[Any]) -> str:
    """Hash of what decides the bytes: `inputs` and the archive's table of contents (with its CRCs)."""
    digest = hashlib.sha256(json.dumps(inputs).encode())
    if archive.exists():
        with zipfile.ZipFile(archive) as stream:
            for info in stream.infolist():
                digest.update(f"{info.filename}\0{info.CRC}\0{info.file_size}\n".encode())
    return digest.hexdigest()[:16]


def _versions() -> str:
    """Hash of the code that decides the bytes, and of OpenCV's version.

    Raises:
        ModuleNotFoundError: a module is gone.
    """
    digest = hashlib.sha256(cv2.__version__.encode())
    for name in DECIDING:
        digest.update(source(name).read_bytes())
    return digest.hexdigest()
