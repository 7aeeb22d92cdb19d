"""A stream of images as shards of square uint8 images that `pneumonia.data.images.store.ShardStore` reads.

    <folder>/images/shard-00000.npy   uint8 [rows, size, size], in the order of the stream
    <folder>/images/index.csv         where each image is (`pneumonia.schema.data.INDEX`; `study` is the image)
    <state>/<hash>/...                the same while it grows, and what is known after each shard

One process reads, the others decode; a few images are in memory and one shard, however many there are. A run that was
killed goes on after its last whole shard.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import PIL
from numpy.typing import NDArray
from tqdm import tqdm

from pneumonia import processes
from pneumonia.data.images.squares import placement, resize_study
from pneumonia.data.images.store import shard_name
from pneumonia.files import read_json, source, write_atomic, write_json
from pneumonia.schema.data import INDEX
from pneumonia.weak_labels import decoding
from pneumonia.weak_labels.labels import Rejected
from pneumonia.weak_labels.members import Member, containers, members

AHEAD = 8  # images a process that are read before they are decoded
# The modules that decide the bytes.
DECIDING = (
    "pneumonia.data.images.squares", "pneumonia.weak_labels.decoding", "pneumonia.weak_labels.members",
    "pneumonia.weak_labels.squares",
)  # fmt: skip


class Square(NamedTuple):
    """What became of an image: its pixels and the shape that it had, or why not."""

    pixels: NDArray[np.uint8] | None
    columns: int
    rows: int
    reason: str
    detail: str


@dataclass
class Part:
    """What is known of a shard, and of the members that were looked at for it.

    Attributes:
        rows: of the index.
        rejected, unlisted: see `Written`.
        members: of the stream, up to the last that was looked at.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    unlisted: int = 0
    members: int = 0


class Written(NamedTuple):
    """What became of a stream.

    Attributes:
        images: those that are in the shards, sorted.
        rejected: those that cannot be used; an image that comes a second time, and an archive that is damaged, too.
        unlisted: images of the stream that were not asked for.
        resumed: images that a broken run had written.
    """

    images: list[str]
    rejected: list[Rejected]
    unlisted: int
    resumed: int


def write(
    root: str | Path,
    wanted: Collection[str],
    key: Callable[[str], str],
    folder: str | Path,
    *,
    size: int,
    shard_rows: int,
    workers: int = 0,
    state: str | Path,
) -> Written:
    """Write the images `wanted` of a source to `folder`.

    Arguments:
        root: folder or archive, see `pneumonia.weak_labels.members`.
        key: file name -> the image's name among `wanted`.
        folder: made, or replaced at the end.
        size: side of the squares, pixels.
        workers: processes; 0: one a core; 1: this one alone.
        state: folder of what is finished, removed at the end.

    Raises:
        ValueError: none of the images is there, or none can be read.
    """
    root, folder, state = Path(root), Path(folder), Path(state)
    wanted = set(wanted)
    work = state / _fingerprint(root, sorted(wanted), size, shard_rows)
    for stale in state.iterdir() if state.exists() else ():
        if stale != work:  # of other params or data
            shutil.rmtree(stale)
    work.mkdir(parents=True, exist_ok=True)
    parts = _finished(work)
    seen = {str(row["study"]) for part in parts for row in part.rows}
    resumed = len(seen)
    stream = islice(enumerate(members(root), start=1), parts[-1].members if parts else 0, None)
    part, block = Part(), np.empty((shard_rows, size, size), np.uint8)
    with (
        closing(_outcomes(stream, wanted, key, size, processes.count(workers))) as outcomes,
        _bar(len(wanted), resumed) as bar,
    ):
        for number, name, image, square in outcomes:
            part.members = number
            if square is None:
                part.unlisted += 1
            elif square.pixels is None:
                part.rejected.append(Rejected(image or name, square.reason, square.detail))
            elif image in seen:
                part.rejected.append(Rejected(image, "duplicate_image", name))
            else:
                seen.add(image)
                block[len(part.rows)] = square.pixels
                place = placement(square.columns, square.rows, size)
                at = {
                    "study": image,
                    "shard": len(parts),
                    "row": len(part.rows),
                    "columns": square.columns,
                    "rows": square.rows,
                }
                part.rows.append(at | place._asdict() | {"window": "none"})
                bar.update(1)
                if len(part.rows) == shard_rows:
                    parts.append(_keep(work, len(parts), part, block))
                    part = Part()
    if part.rows:
        _keep(work, len(parts), part, block)
    parts.append(part)
    rejected = sorted(each for part in parts for each in part.rejected)
    if not seen:
        reasons = ", ".join(sorted({each.reason for each in rejected})) or "no image has such a name"
        raise ValueError(f"{root}: none of the {len(wanted)} images of the label file can be used ({reasons})")
    table = pd.DataFrame([row for part in parts for row in part.rows]).sort_values("study")
    _publish(work, table, folder)
    shutil.rmtree(state, ignore_errors=True)
    return Written(list(table["study"]), rejected, sum(part.unlisted for part in parts), resumed)


def _outcomes(
    stream: Iterable[tuple[int, Member]], wanted: Collection[str], key: Callable[[str], str], size: int, workers: int
) -> Generator[tuple[int, str, str, Square | None]]:
    """Number, name, image (empty: not known) and square of every member, in the order of the stream; None: not asked for."""
    with ExitStack() as stack:
        pool = stack.enter_context(processes.pool(workers, _nothing)) if workers > 1 else None
        waiting: deque[tuple[int, str, str, Square | Future[Square] | None]] = deque()
        for number, member in stream:
            image = key(member.name)
            waiting.append(
                (number, member.name, image if image in wanted else "", _begun(member, image in wanted, size, pool))
            )
            while waiting and (len(waiting) > AHEAD * workers or not isinstance(waiting[0][3], Future)):
                yield _ended(*waiting.popleft())
        while waiting:
            yield _ended(*waiting.popleft())


def _begun(member: Member, wanted: bool, size: int, pool: ProcessPoolExecutor | None) -> Square | Future[Square] | None:
    """Read a member, and have it decoded."""
    if member.fault[0]:
        return Square(None, 0, 0, *member.fault)
    if not wanted:
        return None
    try:
        content = member.read()
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged archive makes its reader raise
        return Square(None, 0, 0, "unreadable", type(error).__name__)
    return pool.submit(square_of, content, size) if pool else square_of(content, size)


def _ended(
    number: int, name: str, image: str, square: Square | Future[Square] | None
) -> tuple[int, str, str, Square | None]:
    return number, name, image, square.result() if isinstance(square, Future) else square


def square_of(content: bytes, size: int) -> Square:
    """Decode an image and put it into its square."""
    try:
        pixels = decoding.grey(content)
    except decoding.Refused as refused:
        return Square(None, 0, 0, refused.reason, refused.detail)
    return Square(resize_study(pixels, size), pixels.shape[1], pixels.shape[0], "", "")


def _nothing() -> None:
    """What a process does first."""


def _bar(total: int, done: int) -> tqdm[Any]:
    interval = 0.5 if sys.stderr.isatty() else 30.0  # seconds; a log wants fewer lines than a terminal
    return tqdm(total=total, initial=done, unit="image", desc="pretrain", mininterval=interval)


def _finished(work: Path) -> list[Part]:
    """What is known of the whole shards of a broken run."""
    parts: list[Part] = []
    while (path := _known(work, len(parts))).exists() and (work / shard_name(len(parts))).exists():
        told = read_json(path)
        parts.append(
            Part(told["rows"], [Rejected(*each) for each in told["rejected"]], told["unlisted"], told["members"])
        )
    return parts


def _keep(work: Path, shard: int, part: Part, block: NDArray[np.uint8]) -> Part:
    with write_atomic(work / shard_name(shard)) as path, path.open("wb") as target:
        np.save(target, block[: len(part.rows)])
    write_json(_known(work, shard), vars(part))  # last: it says that the shard is whole
    return part


def _known(work: Path, shard: int) -> Path:
    return work / f"known-{shard:05d}.json"


def _publish(work: Path, table: pd.DataFrame, folder: Path) -> None:
    INDEX.write(work / INDEX.name, table)
    for left in (*work.glob("known-*.json"), *work.glob(".*")):
        left.unlink()
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(work, folder)


def _fingerprint(root: Path, *inputs: Any) -> str:
    """Hash of what decides the bytes; a file of the source counts by its name, size and time of change."""
    files = [(path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in containers(root)]
    digest = hashlib.sha256(json.dumps([files, inputs, cv2.__version__, PIL.__version__]).encode())
    for name in DECIDING:
        digest.update(source(name).read_bytes())
    return digest.hexdigest()[:16]
