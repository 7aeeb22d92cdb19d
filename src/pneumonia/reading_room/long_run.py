"""`pneumonia predict` of an archive: the input is read a part at a time, on a cluster or here, and a run that was killed goes on.

A part is `PART` studies or so in the order of their keys, whole batches, so that each study has the company that it has on one
machine. While the work grows it lies in the folder that `pneumonia.destination.kept_dir` gives:

    parts/<hash>.json               tables' rows of a finished part, written last: its presence says "finished"
    results/overlays/, dicom/       pictures and objects; at the end the tables too, and all of it is the output

The hash is that of the part's files. So what an input's change leaves as it was is not read again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pneumonia import cluster, extras
from pneumonia.destination import RESULTS, kept_dir, kept_of_others
from pneumonia.files import write_atomic
from pneumonia.reading_room import remote
from pneumonia.reading_room.inputs import FAILED, Portion
from pneumonia.reading_room.predict import COLUMNS, Part, Wanted, joined, listed, progress, read_part, write_tables
from pneumonia.reading_room.reader import Recipe
from pneumonia.reading_room.remote import Job

LOG = logging.getLogger(__name__)
PART = 64  # studies, about: some seconds of work, which is what a kill costs each worker
ENDED = "not predicted: each process that read it ended at once, as for want of memory"


def predict_in_parts(
    source: Path,
    output: Path,
    recipe: Recipe,
    *,
    batch_size: int,
    limit: int | None,
    overlays: bool,
    dicom: bool = False,
    scheduler: str = "",
) -> dict[str, int]:
    """As `pneumonia.reading_room.predict.predict_new`, to the same bytes; what is finished of a run that ended early is kept.

    Arguments:
        source, output, batch_size, limit, overlays, dicom: see there.
        recipe: of the reader.
        scheduler: address of a Dask cluster, such as `tcp://node1:8786`; empty: the work is done here.

    Raises:
        ValueError: as there; or no cluster answers; or one of its workers is not like this machine, see
            `pneumonia.reading_room.remote`.
        ConnectionError: the cluster answers no more.
    """
    if scheduler:
        extras.require("distributed", what="--scheduler")
    if dicom:
        extras.require("highdicom", what="a result as DICOM")
    wanted = Wanted(batch_size=batch_size, overlays=overlays, dicom=dicom)
    inputs, studies = listed(source, limit)
    versions, algorithm = remote.versions(recipe, wanted), recipe.algorithm()
    settings = [asdict(algorithm), recipe.threshold, recipe.capture, getattr(recipe.wanted, "__name__", ""), versions]
    key = _hash([*settings, asdict(wanted), PART, str(source.absolute())])[:16]
    for other in kept_of_others(output, key):
        LOG.warning(
            "unfinished work on another input or with other settings stays in %s; remove it if it is not wanted", other
        )
    with kept_dir(output, key) as folder, _said_when_it_ends_early(folder):
        job = Job(
            recipe=recipe,
            wanted=wanted,
            source=source.absolute(),
            folder=folder / RESULTS,
            versions=versions,
            models=remote.model_files(recipe.models),
        )
        size = max(1, PART // batch_size) * batch_size
        parts = [inputs.portion(studies[start : start + size]) for start in range(0, len(studies), size)]
        kept = _Kept(folder / "parts", {part.key for part in parts})
        todo = [part for part in parts if not kept.holds(part)]
        left = sum(len(part.entries) for part in todo)
        with progress(len(studies), len(studies) - left) as bar:
            for portion, part in _on_cluster(job, todo, scheduler) if scheduler else _here(job, todo):
                kept.write(portion, part)
                bar.update(len(portion.entries))
        finished = [kept.read(part) for part in parts]
        _leave_only({study for part in finished for study in part.shapes}, job.folder)
        return write_tables(job.folder, inputs.entries, finished, algorithm, recipe.threshold, recipe.max_boxes)


class _Kept:
    """The finished parts of a folder; those that are none of this input are removed."""

    def __init__(self, folder: Path, keys: set[str]) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        for path in sorted(folder.iterdir()):
            if path.stem not in keys or not _is_whole(path):
                path.unlink()

    def _path(self, portion: Portion) -> Path:
        return self._folder / f"{portion.key}.json"

    def holds(self, portion: Portion) -> bool:
        return self._path(portion).exists()

    def write(self, portion: Portion, part: Part) -> None:
        rows = part.detections.to_numpy(dtype=object).tolist()  # floats to their last digit
        with write_atomic(self._path(portion)) as temporary:
            temporary.write_text(json.dumps({"rows": rows, "shapes": part.shapes, "said": part.said}), encoding="utf-8")

    def read(self, portion: Portion) -> Part:
        content = json.loads(self._path(portion).read_text(encoding="utf-8"))
        table = pd.DataFrame(content["rows"], columns=COLUMNS)
        shapes = {study: (columns, rows) for study, (columns, rows) in content["shapes"].items()}
        return Part(joined([table]), shapes, content["said"])


def _is_whole(path: Path) -> bool:
    """After a power cut a file may be there without its content."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _here(job: Job, todo: Sequence[Portion]) -> Iterator[tuple[Portion, Part]]:
    if todo:
        reader = job.recipe.load()
        for portion in todo:
            yield portion, read_part(reader, portion, portion.entries, job.folder, job.wanted)


def _on_cluster(job: Job, todo: Sequence[Portion], scheduler: str) -> Iterator[tuple[Portion, Part]]:
    """Parts as they end. One whose workers all died is read at the end, a study at a time and nothing beside it: then the
    study that ends a process is the one that is named."""
    suspects: list[Portion] = []
    for number, part in cluster.run(
        _read_on_worker, ((job, number, portion) for number, portion in enumerate(todo)), scheduler, lost=_lost
    ):
        if part is None:
            suspects.append(todo[number])
        else:
            yield todo[number], part
    for portion in suspects:
        alone = portion.one_by_one()
        tasks = ((job, number, own) for number, own in enumerate(alone))
        found = dict(cluster.run(_read_on_worker, tasks, scheduler, lost=_lost, alone=True))
        yield portion, _together([found[number] or _ended(own) for number, own in enumerate(alone)])


def _read_on_worker(job: Job, number: int, portion: Portion) -> tuple[int, Part | None]:
    return number, remote.read(job, portion)


def _lost(job: Job, number: int, portion: Portion) -> tuple[int, Part | None]:
    return number, None


def _ended(portion: Portion) -> Part:
    said = {entry.key: {"status": FAILED, "reason": ENDED} for entry in portion.entries}
    return Part(joined([]), {}, said)


def _together(parts: Sequence[Part]) -> Part:
    shapes = {study: shape for part in parts for study, shape in part.shapes.items()}
    said = {study: own for part in parts for study, own in part.said.items()}
    return Part(joined(part.detections for part in parts), shapes, said)


def _leave_only(studies: set[str], folder: Path) -> None:
    """Remove the pictures and objects of other studies, and what killed workers left half written."""
    for name, dots in (("overlays", 1), ("dicom", 2)):  # <study>.png, <study>.sr.dcm
        place = folder / name
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.name.rsplit(".", dots)[0] not in studies:
                path.unlink()
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


@contextmanager
def _said_when_it_ends_early(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if any((folder / "parts").glob("*.json")):
            print(f"pneumonia: what is finished is kept in {folder}; the same command goes on with it", file=sys.stderr)
        raise


def _hash(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
