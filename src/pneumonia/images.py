"""Studies as square uint8 images in `.npy` shards: written once by `write_shards`, read memory-mapped through `ShardStore`.

Frames: a study is padded with black to a square in whole original pixels (centred), then resized, so that one scale holds exactly
for both axes: `x_resized = x * scale + pad_x`, `y_resized = y * scale + pad_y`. Pixel edges are integers (the left edge of the first
pixel is 0), the convention of the challenge's boxes and of `cv2.resize`.

    state/<hash>/images/<size>/shard-00000.npy     finished shards, `.part` while it is being filled
    state/<hash>/parts/shard-00000.json            its index rows: written last, so its presence says "finished"
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from pneumonia.boxes import xywh_to_xyxy, xyxy_to_xywh
from pneumonia.files import read_csv, read_json, write_csv, write_json

INDEX_COLUMNS = {
    "study": "str",
    "shard": "int",
    "row": "int",
    "scale": "float",
    "pad_x": "float",
    "pad_y": "float",
    "columns": "int",
    "rows": "int",
    "window": "str",
}
CHUNK = 16  # studies a task: about 0.1 s, so that the workers end together and the progress bar moves

ReadStudy = Callable[[str], tuple[np.ndarray, str]]
"""study id -> (uint8 `[rows, columns]`, name of the window that was used); raises where the study cannot be read."""


class Placement(NamedTuple):
    """Where a study lies in its resized square: `x_resized = x * scale + pad_x`, pads in resized pixels."""

    scale: float
    pad_x: float
    pad_y: float


def placement(columns: int, rows: int, size: int) -> Placement:
    """Placement of a study of `columns` x `rows` pixels in a square of `size` pixels, aspect ratio kept, centred.

    The padding is a whole number of original pixels (an odd one goes right or below): 1000 x 600 at size 500 gives
    scale 0.5, pad_x 0, pad_y (400 // 2) * 0.5 = 100.
    """
    if min(columns, rows, size) < 1:
        raise ValueError(f"columns, rows and size must be at least 1, got {columns}, {rows}, {size}")
    side = max(columns, rows)
    scale = size / side
    return Placement(scale, (side - columns) // 2 * scale, (side - rows) // 2 * scale)


def resize_study(image: np.ndarray, size: int) -> np.ndarray:
    """Pad `image` (uint8 `[H, W]`) to a square with zeros and resize it to uint8 `[size, size]`, as `placement` says.

    Shrinking averages over the covered area, so that no thin line aliases away; enlarging is bilinear.
    """
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"image must be uint8 [rows, columns], got {image.dtype} {list(image.shape)}")
    rows, columns = image.shape
    side = max(rows, columns)
    if rows != columns:
        top, left = (side - rows) // 2, (side - columns) // 2
        image = cv2.copyMakeBorder(
            image, top, side - rows - top, left, side - columns - left, cv2.BORDER_CONSTANT, value=0
        )
    if side == size:
        return np.ascontiguousarray(image)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


class ShardStore:
    """The images of one size, memory-mapped and read-only: `ShardStore(Path("data/images/192"))`.

    `size` is the side in pixels, `index` the index.csv as a DataFrame indexed by study. Cheap to pickle: a worker maps the files anew.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / "index.csv"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run the stage that writes {self.folder}, or take a size of images.sizes")
        self.index: pd.DataFrame = read_csv(path, INDEX_COLUMNS).set_index("study")
        if not self.index.index.is_unique:
            raise ValueError(f"{path}: a study stands there twice")
        self._places = {
            study: (int(shard), int(row))
            for study, shard, row in zip(self.index.index, self.index["shard"], self.index["row"], strict=True)
        }
        self._shards: dict[int, np.ndarray] = {}
        self.size = int(self._shard(0).shape[1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}  # a memory map would be pickled as all its pixels

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, study: object) -> bool:
        return study in self._places

    def _shard(self, number: int) -> np.ndarray:
        if number not in self._shards:
            self._shards[number] = np.load(self.folder / _shard_name(number), mmap_mode="r", allow_pickle=False)
        return self._shards[number]

    def _place(self, study: str) -> tuple[int, int]:
        try:
            return self._places[study]
        except KeyError:
            raise KeyError(f"study {study!r} is not in {self.folder / 'index.csv'} ({len(self)} studies)") from None

    def image(self, study: str) -> np.ndarray:
        """The image of one study, uint8 `[size, size]`, a copy."""
        shard, row = self._place(study)
        return np.array(self._shard(shard)[row])

    def batch(self, studies: Sequence[str]) -> np.ndarray:
        """The images of `studies` in that order, uint8 `[B, size, size]`."""
        images = np.empty((len(studies), self.size, self.size), np.uint8)
        for i, study in enumerate(studies):
            shard, row = self._place(study)
            images[i] = self._shard(shard)[row]
        return images

    def placement(self, study: str) -> Placement:
        """Scale and padding of a study."""
        self._place(study)
        row = self.index.loc[study]
        return Placement(float(row["scale"]), float(row["pad_x"]), float(row["pad_y"]))

    def to_resized(self, study: str, boxes: np.ndarray) -> np.ndarray:
        """Boxes `[N, 4]` (x, y, width, height), original pixels -> float32 `[N, 4]` (x1, y1, x2, y2), resized pixels."""
        scale, pad_x, pad_y = self.placement(study)
        corners = xywh_to_xyxy(np.asarray(boxes, np.float64))
        return (corners * scale + [pad_x, pad_y, pad_x, pad_y]).astype(np.float32)

    def to_original(self, study: str, boxes: np.ndarray) -> np.ndarray:
        """Boxes `[N, 4]` (x1, y1, x2, y2), resized pixels -> float32 `[N, 4]` (x, y, width, height), original pixels.

        The inverse of `to_resized`, clipped to the image: what lies in the padding alone gets no width or no height.
        """
        scale, pad_x, pad_y = self.placement(study)
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        corners = (corners - [pad_x, pad_y, pad_x, pad_y]) / scale
        row = self.index.loc[study]
        columns, rows = float(row["columns"]), float(row["rows"])
        return xyxy_to_xywh(np.clip(corners, 0.0, [columns, rows, columns, rows])).astype(np.float32)


def write_shards(
    archive_path: str | Path,
    studies: Sequence[str],
    folder: str | Path,
    *,
    sizes: Sequence[int],
    shard_rows: int,
    window: Mapping[str, Any],
    workers: int = 0,
    unreadable: Literal["raise", "skip"] = "raise",
    state: str | Path | None = None,
    open_reader: Callable[[], ReadStudy] | None = None,
) -> dict[str, int]:
    """Decode each study once and write it in every size to `folder/<size>/`; returns counts of studies, resumed, unreadable.

    Args:
        archive_path: the zip of studies.
        studies: ids to write; rows are in the order of the sorted ids.
        folder: replaced as a whole at the end.
        sizes: sides of the squares, pixels.
        shard_rows: studies a `.npy` shard.
        window: `mode`, `center`, `width`, `percentiles` of `pneumonia.windowing.study_to_uint8`.
        workers: processes, 0 for one a core, 1 for none but this one. Memory: one decoded study a process, whatever `len(studies)`.
        unreadable: "raise" stops at a study that cannot be read; "skip" leaves zeros, window "unreadable", and a row in `unreadable.csv`.
        state: folder of finished shards, from which a killed call goes on; removed at the end. Default: beside `folder`.
        open_reader: called once a process, gives the function that reads a study. Default: the archive with the window.
    """
    folder = Path(folder)
    studies = sorted(studies)
    _check(studies, sizes, shard_rows, unreadable)
    sizes = sorted(int(size) for size in sizes)
    root = Path(state) if state is not None else folder.parent / f".{folder.name}.state"
    work = root / _fingerprint(Path(archive_path), studies, sizes, shard_rows, window, unreadable)
    for stale in root.iterdir() if root.exists() else ():
        if stale != work:  # of other params or data: never to be used again
            shutil.rmtree(stale)

    shards = [studies[start : start + shard_rows] for start in range(0, len(studies), shard_rows)]
    todo = [number for number in range(len(shards)) if not _finished(work, sizes, number)]
    resumed = len(studies) - sum(len(shards[number]) for number in todo)
    job = Job(work, tuple(sizes), unreadable, open_reader or partial(archive_reader, Path(archive_path), dict(window)))
    pending = {number: {"chunks": -(-len(shards[number]) // CHUNK), "rows": []} for number in todo}
    for number in todo:
        _allocate(work, sizes, number, len(shards[number]))
    tasks = ((number, start, shards[number][start : start + CHUNK]) for number in todo for start in range(0, len(shards[number]), CHUNK))
    with tqdm(
        total=len(studies), initial=resumed, unit="study", desc=folder.name, mininterval=0.5 if sys.stderr.isatty() else 30.0
    ) as bar:
        for number, rows in _run(job, tasks, _worker_count(workers)):
            entry: dict[str, Any] = pending[number]
            entry["rows"] += rows
            entry["chunks"] -= 1
            if not entry["chunks"]:
                _finish(work, sizes, number, sorted(pending.pop(number)["rows"], key=lambda row: row["row"]))
            bar.update(len(rows))
    skipped = _publish(work, sizes, len(shards), folder, unreadable)
    shutil.rmtree(root)
    return {"studies": len(studies), "resumed": resumed, "unreadable": skipped}


def archive_reader(archive_path: Path, window: Mapping[str, Any]) -> ReadStudy:
    """A function that reads a study of the archive and windows it to uint8."""
    from pneumonia.archive import StudyArchive
    from pneumonia.windowing import study_to_uint8

    archive = StudyArchive(archive_path)

    def read(study: str) -> tuple[np.ndarray, str]:
        image, used, _ = study_to_uint8(archive.read(study), **window)
        return image, used

    return read


@dataclass(frozen=True)
class Job:
    """What every task of one `write_shards` call shares."""

    work: Path
    sizes: tuple[int, ...]
    unreadable: str
    open_reader: Callable[[], ReadStudy]


Task = tuple[int, int, list[str]]  # shard, first row, studies
Row = dict[str, Any]  # of the index, without what depends on the size

_job: Job
_read: ReadStudy


def _start(job: Job) -> None:
    global _job, _read
    cv2.setNumThreads(1)  # one process a core already; and OpenCV's threads do not survive a fork
    _job, _read = job, job.open_reader()


def _do(task: Task) -> tuple[int, list[Row]]:
    """Fill the rows of one chunk in the shards of all sizes."""
    number, start, studies = task
    outs = {size: np.load(_part(_job.work, size, number), mmap_mode="r+") for size in _job.sizes}
    rows: list[Row] = []
    for row, study in enumerate(studies, start):
        reason = ""
        try:
            image, used = _read(study)
        except Exception as error:  # whatever a hostile file makes a decoder raise
            if _job.unreadable == "raise":
                raise ValueError(f"study {study} cannot be read: {error}; clean should have rejected it") from error
            reason = str(getattr(error, "reason", "")) or f"{type(error).__name__}: {error}"
            image, used = np.zeros((max(_job.sizes),) * 2, np.uint8), "unreadable"
        for size, out in outs.items():
            out[row] = resize_study(image, size)
        rows.append({"study": study, "row": row, "columns": image.shape[1], "rows": image.shape[0], "window": used, "reason": reason})
    return number, rows


def _run(job: Job, tasks: Iterator[Task], workers: int) -> Iterator[tuple[int, list[Row]]]:
    """Results of the tasks as they end, a few tasks ahead of the workers."""
    if workers == 1:
        _start(job)
        yield from map(_do, tasks)
        return
    # fork: the modules are there already. Elsewhere than on Linux it is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(job,)) as executor:
        running: set[Future[tuple[int, list[Row]]]] = set()
        try:
            for task in tasks:
                running.add(executor.submit(_do, task))
                if len(running) >= 4 * workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.npy"


def _part(work: Path, size: int, number: int) -> Path:
    return work / "images" / str(size) / f"{_shard_name(number)}.part"


def _index_part(work: Path, number: int) -> Path:
    return work / "parts" / f"shard-{number:05d}.json"


def _finished(work: Path, sizes: Sequence[int], number: int) -> bool:
    return _index_part(work, number).exists() and all(_part(work, s, number).with_suffix("").exists() for s in sizes)


def _allocate(work: Path, sizes: Sequence[int], number: int, rows: int) -> None:
    """An empty (sparse) shard a size, for the workers to fill in place."""
    for size in sizes:
        path = _part(work, size, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(rows, size, size))


def _finish(work: Path, sizes: Sequence[int], number: int, rows: list[Row]) -> None:
    for size in sizes:
        path = _part(work, size, number)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())  # a power cut must not leave a "finished" shard of zeros
        os.replace(path, path.with_suffix(""))
    write_json(_index_part(work, number), {"rows": rows})


def _publish(work: Path, sizes: Sequence[int], shards: int, folder: Path, unreadable: str) -> int:
    """Write the indices and put the images in the place of `folder`; returns the number of unreadable studies."""
    parts = [pd.DataFrame(read_json(_index_part(work, n))["rows"]).assign(shard=n) for n in range(shards)]
    table = pd.concat(parts, ignore_index=True)
    failed = table.loc[table["reason"] != "", ["study", "reason"]]
    for size in sizes:
        places = [placement(c, r, size) for c, r in zip(table["columns"], table["rows"], strict=True)]
        index = pd.concat([table, pd.DataFrame(places, columns=list(Placement._fields))], axis=1)
        write_csv(work / "images" / str(size) / "index.csv", index[list(INDEX_COLUMNS)])
        if unreadable == "skip":
            write_csv(work / "images" / str(size) / "unreadable.csv", failed)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(work / "images", folder)  # a rename on one file system
    return len(failed)


def _check(studies: list[str], sizes: Sequence[int], shard_rows: int, unreadable: str) -> None:
    if not studies:
        raise ValueError("studies is empty: there is nothing to write; look at data/clean/rejected.csv for why")
    if len(set(studies)) != len(studies):
        raise ValueError("studies holds an id twice; clean should have rejected it as a duplicate")
    if not sizes or min(sizes) < 1 or len(set(sizes)) != len(sizes):
        raise ValueError(f"sizes must be different pixel counts above 0, got {list(sizes)}")
    if shard_rows < 1:
        raise ValueError(f"shard_rows must be at least 1, got {shard_rows}")
    if unreadable not in ("raise", "skip"):
        raise ValueError(f"unreadable must be 'raise' or 'skip', got {unreadable!r}")


def _worker_count(workers: int) -> int:
    if workers < 0:
        raise ValueError(f"workers must be 0 (one a core) or more, got {workers}")
    return workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def _fingerprint(archive: Path, studies: list[str], sizes: Sequence[int], shard_rows: int, window: Mapping[str, Any], mode: str) -> str:
    """Hash of all that decides the bytes: params, ids, the archive's table of contents (with its CRCs), the decoding code."""
    digest = hashlib.sha256(json.dumps([studies, list(sizes), shard_rows, dict(window), mode, cv2.__version__]).encode())
    if archive.exists():
        with zipfile.ZipFile(archive) as stream:
            for info in stream.infolist():
                digest.update(f"{info.filename}\0{info.CRC}\0{info.file_size}\n".encode())
    for module in ("images", "archive", "dicom", "windowing"):
        source = Path(__file__).with_name(f"{module}.py")
        digest.update(source.read_bytes() if source.exists() else b"")
    return digest.hexdigest()[:16]
