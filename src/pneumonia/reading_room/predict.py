"""`pneumonia predict`: the trained models on new studies of a folder or a zip, which need no labels.

Has the studies read batch by batch in bounded memory; results are tables, pictures and DICOM objects. Whatever one file holds
is that file's matter: it is listed with its reason, and the rest goes on. A full disk or memory ends the run.

`read_part` has some studies read and `write_tables` writes what stands of all: `pneumonia.reading_room.long_run` does the same
a part at a time. While the models work on a batch a thread reads the files of the next one; pictures are drawn on all cores.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from keraskit.boxes.arrays import xywh_to_xyxy
from pneumonia import extras
from pneumonia.destination import new_dir
from pneumonia.files import write_atomic, write_csv, write_json
from pneumonia.reading_room.admission import Refusal, doubt
from pneumonia.reading_room.ensemble import Study, sizes
from pneumonia.reading_room.inputs import FAILED, RESULTS, SKIPPED, Entry, Inputs
from pneumonia.reading_room.objects import make
from pneumonia.reading_room.objects.findings import Findings
from pneumonia.reading_room.outcomes import Outcomes, counts, described
from pneumonia.reading_room.reader import BLANK, Answer, Reader
from pneumonia.rejection import StudyError
from pneumonia.runtime.graphs import cores
from pneumonia.schema.predictions import DETECTIONS
from pneumonia.schema.results import MADE_BY, NEW_STUDIES, SUBMISSION
from pneumonia.schema.table import BOX

if TYPE_CHECKING:
    from pydicom import Dataset

    from pneumonia.reading_room.objects.findings import Algorithm

COLUMNS = ["study", "image_score", *BOX, "score"]
COMPRESSION = 3  # of overlays: an eighth larger than at 9, which took a second a study, longer than all models together


@dataclass(frozen=True)
class _Read:
    """A study of the batch at hand."""

    entry: Entry
    study: Study
    warning: str


_Tried = _Read | tuple[Entry, StudyError]


@dataclass(frozen=True)
class _Made:
    """What is written of a study besides rows of tables."""

    picture: bytes | None
    objects: Mapping[str, Dataset] | None


class Files(Protocol):
    """Where the bytes of studies come from."""

    def read(self, entry: Entry) -> bytes:
        """As `pneumonia.reading_room.inputs.Inputs.read`."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How studies are read, and what is made of each besides rows of tables.

    Attributes:
        batch_size: studies read at once.
        overlays: whether a picture is.
        dicom: whether objects are.
    """

    batch_size: int
    overlays: bool
    dicom: bool


@dataclass(frozen=True)
class Part:
    """What became of some studies.

    Attributes:
        detections: `COLUMNS`; a study without one has a row with an empty box.
        shapes: columns and rows of each study with results.
        said: of each study, see `pneumonia.reading_room.outcomes.Outcomes.said`.
    """

    detections: pd.DataFrame
    shapes: dict[str, tuple[int, int]]
    said: dict[str, dict[str, str]]


def predict_new(
    source: Path,
    output: Path,
    load: Callable[[], Reader],
    *,
    batch_size: int,
    limit: int | None,
    overlays: bool,
    dicom: bool = False,
) -> dict[str, int]:
    """Have the DICOMs of `source` read and write the results to the folder `output`.

    Writes `submission.csv` (patientId, PredictionString), `detections.csv` (patientId, image_score, x, y, width, height,
    score: one row a fused detection, a study without one has a row with empty box), `failed.csv` (patientId, reason) where a
    study could not be read, `studies.csv` (`pneumonia.schema.results.NEW_STUDIES`: one row a file of `source`, with what
    became of it), `made_by.json` (which models, run by what) and `overlays/<study>.png` in original size. With `dicom` also
    `dicom/<study>.sr.dcm`, `.pr.dcm` (and `.sc.dcm`): see `pneumonia.reading_room.objects`. Everything appears at once at the end.

    Arguments:
        source: a DICOM, a folder of them (searched through) or a zip of them; see `pneumonia.reading_room.inputs.Inputs`.
        output: absent or empty, see `pneumonia.destination`.
        load: makes the reader, once there is something to read. Detections below its operating point are left out of
            `submission.csv`, of the overlays and of the objects. What it does not admit is skipped.
        batch_size: studies read at once.
        limit: of studies, the first by id; None: all.

    Returns:
        The counts files, studies, with_findings, failed, skipped; files is the sum of studies, failed and skipped.

    Raises:
        ValueError: there is no study, or a model is missing, or the models fail on any image.
        ModuleNotFoundError: a package is missing that DICOM results need.
        MemoryError: there is too little.
    """
    if dicom:
        extras.require("highdicom", what="a result as DICOM")
    wanted = Wanted(batch_size=batch_size, overlays=overlays, dicom=dicom)
    inputs, studies = listed(source, limit)
    reader = load()
    with new_dir(output) as folder, progress(len(studies)) as bar:
        part = read_part(reader, inputs, studies, folder, wanted, bar.update)
        return write_tables(folder, inputs.entries, [part], reader.algorithm, reader.threshold, reader.max_boxes)


def listed(source: Path, limit: int | None) -> tuple[Inputs, list[Entry]]:
    """An input and the studies of it that are to be read.

    Raises:
        ValueError: there is none, and nothing that was meant to be one.
    """
    inputs = Inputs(source)
    studies = inputs.studies(limit)
    if not studies and all(entry.status == SKIPPED for entry in inputs.entries):
        raise ValueError(f"{source}: no DICOM found among {len(inputs.entries):,} files")
    return inputs, studies


def progress(studies: int, done: int = 0) -> tqdm[Any]:
    """A bar on the terminal."""
    return tqdm(total=studies, initial=done, desc="predict", unit="study", file=sys.stderr)


def read_part(
    reader: Reader,
    files: Files,
    studies: Sequence[Entry],
    folder: Path,
    wanted: Wanted,
    done: Callable[[int], object] = lambda studies: None,
    threads: int = 0,
) -> Part:
    """Have studies read, a batch at a time; pictures and objects are written below `folder`.

    Two batches are in memory at most: that of the models, and the next one.

    Arguments:
        done: is told of each batch how many studies it had.
        threads: that draw pictures; 0: one a core.
    """
    outcomes = Outcomes()
    tables: list[pd.DataFrame] = []
    shapes: dict[str, tuple[int, int]] = {}
    batches = [studies[start : start + wanted.batch_size] for start in range(0, len(studies), wanted.batch_size)]
    with _silent(), _threads(1) as reading, _threads(threads or cores()) as drawing:
        begun = ([reading.submit(_read, reader, files, entry) for entry in entries] for entries in batches)
        # Parsing changes settings of pydicom, which the making of objects must not see.
        for found in _ahead(begun, 0 if wanted.dicom else 1):
            batch = dict(_kept(found, outcomes))
            for answer in _answers(reader, batch, outcomes):
                made = _make(reader, files, batch, answer, outcomes, wanted, drawing)
                written = [name for name in made if _write_study(folder, made[name], batch[name].entry, outcomes)]
                tables.append(_rows(answer, written))
                for name in written:
                    own = batch[name]
                    outcomes.read(own.entry, described(own.study.rendering), own.warning)
                    shapes[name] = (own.study.image.shape[1], own.study.image.shape[0])
            done(len(found))
    return Part(joined(tables), shapes, {entry.key: outcomes.said(entry) for entry in studies})


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Detections of several in one table."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=COLUMNS)
    every = pd.concat(filled, ignore_index=True)[COLUMNS]
    return every.astype(dict.fromkeys(COLUMNS[1:], np.float64))


def write_tables(
    folder: Path, entries: list[Entry], parts: Iterable[Part], algorithm: Algorithm, threshold: float, max_boxes: int
) -> dict[str, int]:
    """Write all but pictures and objects, of parts in the order of their studies; returns the counts of `predict_new`."""
    said: dict[str, dict[str, str]] = {}
    shapes: dict[str, tuple[int, int]] = {}
    tables = []
    for part in parts:
        said |= part.said
        shapes |= part.shapes
        tables.append(part.detections)
    outcomes = Outcomes()
    for entry in entries:
        if not entry.status:
            outcomes.say(entry, said[entry.key])
    rows = outcomes.rows(entries)
    NEW_STUDIES.write(folder / NEW_STUDIES.name, rows)
    _write_failed(folder, rows)
    write_json(folder / MADE_BY, {**asdict(algorithm), "operating_point": threshold})
    found = _write(folder, joined(tables), shapes, threshold, max_boxes)
    count = counts(rows)
    return {
        "files": len(rows),
        "studies": count[RESULTS],
        "with_findings": found,
        "failed": count[FAILED],
        "skipped": count[SKIPPED],
    }


@contextlib.contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; what they have not begun at the end, as after an interrupt, they never do."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="predict")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Warnings repeat what headers hold. They are silenced where headers are read, but for all threads at once, so that the one
    may end the silence of the other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _ahead(batches: Iterable[list[Future[_Tried]]], ahead: int) -> Iterator[list[_Tried]]:
    """The results of each batch, when so many after it have begun."""
    begun: deque[list[Future[_Tried]]] = deque()
    for batch in batches:
        begun.append(batch)
        if len(begun) > ahead:
            yield [each.result() for each in begun.popleft()]
    for batch in begun:
        yield [each.result() for each in batch]


def _read(reader: Reader, files: Files, entry: Entry) -> _Tried:
    try:
        data = files.read(entry)
        return _Read(entry, reader.read(data, entry.key), doubt(data))
    except StudyError as error:
        return entry, error


def _kept(found: Iterable[_Tried], outcomes: Outcomes) -> Iterator[tuple[str, _Read]]:
    """What could be read, by its name; of the rest it is said why not."""
    for own in found:
        if isinstance(own, _Read):
            yield own.entry.key, own
        else:
            entry, error = own
            (outcomes.skipped if isinstance(error.reason, Refusal) else outcomes.failed)(entry, str(error))


def _answers(reader: Reader, batch: Mapping[str, _Read], outcomes: Outcomes) -> Iterator[Answer]:
    """The answer to a batch; where the models fail on it, one to each study alone, and those they fail on have failed."""
    studies = {name: own.study for name, own in batch.items()}
    if not studies:
        return
    try:
        answer = reader.answer(studies)
    except MemoryError:
        raise
    except Exception as error:
        _check_models(reader, error)
    else:
        yield answer
        return
    for name, study in studies.items():
        try:
            answer = reader.answer({name: study})
        except MemoryError:
            raise
        except Exception as error:
            outcomes.failed(batch[name].entry, f"not predicted: {type(error).__name__}: {error}")
        else:
            yield answer


def _check_models(reader: Reader, error: Exception) -> None:
    try:
        reader.answer({"blank": BLANK})
    except Exception:
        raise ValueError(f"the models fail on any image ({type(error).__name__}: {error})") from error


def _make(
    reader: Reader,
    files: Files,
    batch: Mapping[str, _Read],
    answer: Answer,
    outcomes: Outcomes,
    wanted: Wanted,
    drawing: ThreadPoolExecutor,
) -> dict[str, _Made]:
    """Picture and objects of each study, still in memory; one for which they cannot be made has failed."""
    drawn = {
        name: drawing.submit(_draw, batch[name].study, findings)
        for name, findings in answer.findings.items()
        if wanted.overlays
    }
    made = {}
    for name, findings in answer.findings.items():
        own = batch[name]
        try:
            picture = drawn[name].result() if wanted.overlays else None
            objects = reader.objects(files.read(own.entry), own.study, findings) if wanted.dicom else None
        except MemoryError:
            raise
        except StudyError as error:
            outcomes.failed(own.entry, f"predicted, but not as DICOM: {error}")
        except Exception as error:  # its text may quote the header
            outcomes.failed(own.entry, f"predicted, but not written ({type(error).__name__})")
        else:
            made[name] = _Made(picture, objects)
    return made


def _rows(answer: Answer, names: list[str]) -> pd.DataFrame:
    """One row a detection of these studies; a study without one keeps a row, for its score."""
    scores = answer.scores.loc[names]
    table = pd.DataFrame({"study": scores.index, "image_score": scores.to_numpy()})
    return table.merge(answer.detections, on="study", how="left")


def _draw(study: Study, findings: Findings) -> bytes:
    from pneumonia.pictures import overlay, png

    boxes = np.c_[xywh_to_xyxy(findings.boxes), findings.scores]
    return png(overlay(study.image, None, boxes), COMPRESSION)


def _write_study(folder: Path, made: _Made, entry: Entry, outcomes: Outcomes) -> bool:
    """Write a study's files; False where an object cannot be encoded, so that it has failed and none is left."""
    picture, objects = folder / "overlays" / f"{entry.key}.png", folder / "dicom"
    if made.picture is not None:
        with write_atomic(picture) as temporary:
            temporary.write_bytes(made.picture)
    if made.objects is None:
        return True
    objects.mkdir(exist_ok=True)
    try:
        make.write(objects, entry.key, dict(made.objects))
    except (OSError, MemoryError):  # no fault of the study
        raise
    except Exception as error:  # as above
        picture.unlink(missing_ok=True)
        for kind in made.objects:
            (objects / f"{entry.key}.{kind}.dcm").unlink(missing_ok=True)
        outcomes.failed(entry, f"predicted, but not as DICOM ({type(error).__name__})")
        return False
    return True


def _write_failed(folder: Path, rows: pd.DataFrame) -> None:
    failed = rows[rows["status"] == FAILED]
    if len(failed):
        names = failed["study"].where(failed["study"] != "", failed["path"])
        table = pd.DataFrame({"patientId": names, "reason": failed["reason"]})
        write_csv(folder / "failed.csv", table.sort_values("patientId", kind="stable"))


def _write(
    folder: Path, table: pd.DataFrame, shapes: Mapping[str, tuple[int, int]], threshold: float, max_boxes: int
) -> int:
    """Write what was detected; returns the number of studies with findings."""
    from pneumonia.prediction import submission

    frame = table.rename(columns={"study": "patientId"})
    write_csv(folder / DETECTIONS.name, frame, {"image_score": 6, **DETECTIONS.decimals})
    built = submission.build(
        table.dropna(subset=["score"]), list(shapes), sizes(shapes), threshold=threshold, max_boxes=max_boxes
    )
    submission.write(folder / SUBMISSION, built)
    return int((built["PredictionString"] != "").sum())
