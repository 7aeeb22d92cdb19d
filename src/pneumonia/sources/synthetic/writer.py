"""The phantom's two data sets as files, in the challenge's layout."""

from __future__ import annotations

import multiprocessing
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pneumonia.files import write_csv
from pneumonia.schema import raw
from pneumonia.sources.synthetic.cohort import Case, sample_cohort, study_id
from pneumonia.sources.synthetic.dicom_writer import Encoding, encode_study
from pneumonia.sources.synthetic.faults import FAULTS, Row, break_file, break_labels
from pneumonia.sources.synthetic.phantom import Category, StudySpec, draw_study

if TYPE_CHECKING:
    import pandas as pd

CLASS_NAMES: dict[Category, str] = {
    "normal": "Normal",
    "not_normal": "No Lung Opacity / Not Normal",
    "opacity": "Lung Opacity",
}
ODD_ENCODING_SHARE = 0.008  # of the studies, each: 16 bit in HU; MONOCHROME1
_ODD_AGE_FROM = 200  # studies; from here on one age is a slip, as five of the challenge's are
_ODD_AGE = 148
_CHUNK = 4  # studies that a process takes at a time


@dataclass(frozen=True)
class _Task:
    case: Case
    size: int
    seed: tuple[int, ...]
    encoding: Encoding = "jpeg"
    age: int | None = None  # written in place of the true one
    fault: str = ""


@dataclass(frozen=True)
class _Result:
    task: _Task
    file: bytes | None
    boxes: np.ndarray  # [n, 4] x, y, width, height


def write_labelled(folder: Path, *, studies: int, size: int, seed: int, workers: int = 0) -> None:
    """Write `studies` labelled studies, and one broken study of each kind in FAULTS besides, into an existing folder.

    images.zip: stored members `stage_2_train_images/<study>.dcm`, sorted, of `size` x `size` pixels. labels.csv,
    classes.csv: the challenge's columns, one row a box. persons.csv: study, person. The bytes depend on `studies`,
    `size` and `seed` alone.

    Arguments:
        workers: processes, 0 for one a core.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: fewer than 4 studies or a size below 64.
    """
    import pandas as pd

    cases = sample_cohort(studies, seed, "labelled")
    tasks = _tasks(cases, size, seed, "labelled") + _broken_tasks(size, seed, studies)
    labels: list[dict[str, object]] = []
    classes: list[dict[str, str]] = []
    for result in _write_images(folder, "stage_2_train_images", tasks, workers):
        study, rows, target, names = _label(result)
        for row, name in zip(rows, names, strict=True):
            x, y, width, height = [f"{value:.1f}" for value in row] if row else [""] * 4
            labels.append({"patientId": study, "x": x, "y": y, "width": width, "height": height, "Target": target})
            classes.append({"patientId": study, "class": name})
    write_csv(folder / raw.LABELS, pd.DataFrame(labels))
    write_csv(folder / raw.CLASSES, pd.DataFrame(classes))
    persons = [{"study": task.case.study, "person": task.case.person} for task in tasks if not task.fault]
    write_csv(folder / raw.PERSONS, pd.DataFrame(persons).sort_values("study"))


def write_test(folder: Path, *, studies: int, size: int, seed: int, workers: int = 0) -> None:
    """Write `studies` unlabelled studies into an existing folder: images.zip (`stage_2_test_images/<study>.dcm`) and
    sample_submission.csv (patientId, PredictionString). Otherwise as `write_labelled`, with nothing broken.
    """
    import pandas as pd

    tasks = _tasks(sample_cohort(studies, seed, "test"), size, seed, "test")
    ids = [result.task.case.study for result in _write_images(folder, "stage_2_test_images", tasks, workers)]
    sample: pd.DataFrame = pd.DataFrame({"patientId": ids, "PredictionString": "0.5 0 0 100 100"})
    write_csv(folder / raw.SAMPLE_SUBMISSION, sample)


def _tasks(cases: Sequence[Case], size: int, seed: int, kind: str) -> list[_Task]:
    """What to draw for each case: most as the challenge has it, a few in other encodings."""
    rng = np.random.default_rng((seed, 1, *kind.encode()))
    odd = max(1, round(ODD_ENCODING_SHARE * len(cases))) if len(cases) >= 8 else 0
    order = rng.permutation(len(cases))
    encodings: dict[int, Encoding] = {int(i): "hounsfield" for i in order[:odd]}
    encodings |= {int(i): "monochrome1" for i in order[odd : 2 * odd]}
    slip = int(order[-1]) if len(cases) >= _ODD_AGE_FROM else -1
    return [
        _Task(case, size, (seed, 2, *kind.encode(), i), encodings.get(i, "jpeg"), _ODD_AGE if i == slip else None)
        for i, case in enumerate(cases)
    ]


def _broken_tasks(size: int, seed: int, studies: int) -> list[_Task]:
    tasks = []
    for i, (fault, category) in enumerate(FAULTS.items()):
        spec = StudySpec(category, int(category == "opacity"), "PA", "FM"[i % 2], 40 + i, (seed, 3, i))
        case = Case(study_id(seed, "broken", i), "", spec, 0.143, studies + i)
        tasks.append(_Task(case, size, (seed, 4, i), fault=fault))
    return tasks


def _label(result: _Result) -> tuple[str, list[Row], int, list[str]]:
    """Study, label rows, target and class names (one a row)."""
    task, size = result.task, result.task.size
    category = task.case.spec.category
    rows: list[Row] = [(x, y, width, height) for x, y, width, height in result.boxes.tolist()] or [None]
    target, name = int(category == "opacity"), CLASS_NAMES[category]
    rows, target, names = break_labels(task.fault, rows, target, name, size)
    return task.case.study, rows, target, names


def _write_images(folder: Path, inner: str, tasks: list[_Task], workers: int) -> Iterator[_Result]:
    """Draw the tasks, write images.zip and yield the results, sorted by study."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; make it before the phantom is written into it")
    tasks = sorted(tasks, key=lambda task: task.case.study)
    with zipfile.ZipFile(folder / raw.IMAGES, "w", zipfile.ZIP_STORED) as archive:
        for result in _draw_all(tasks, workers):
            if result.file is not None:
                member = zipfile.ZipInfo(f"{inner}/{result.task.case.study}.dcm", (1980, 1, 1, 0, 0, 0))
                member.create_system, member.external_attr = 3, 0o644 << 16  # the same on every platform
                archive.writestr(member, result.file)
            yield _Result(result.task, None, result.boxes)


def _draw_all(tasks: list[_Task], workers: int) -> Iterator[_Result]:
    """Results in the order of the tasks, whatever the number of processes."""
    from tqdm import tqdm

    count = min(workers or os.cpu_count() or 1, -(-len(tasks) // _CHUNK))
    progress = partial(tqdm, total=len(tasks), desc="phantom", unit="study", file=sys.stderr)
    if count <= 1:
        yield from progress(map(_draw, tasks))
        return
    # Spawned, not forked: the parent may hold threads of OpenCV or TensorFlow.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, initializer=_single_thread) as pool:
        yield from progress(pool.map(_draw, tasks, chunksize=_CHUNK))


def _single_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _draw(task: _Task) -> _Result:
    drawing = draw_study(np.random.default_rng(task.seed), task.case.spec, task.size)
    if task.fault:
        return _Result(task, break_file(task.fault, task.case, drawing.pixels), drawing.boxes)
    return _Result(task, encode_study(task.case, drawing.pixels, task.encoding, age=task.age), drawing.boxes)
