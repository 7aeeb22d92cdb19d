"""Every study is in, or left out for one reason; what can be mended is mended and counted.

`clean` reads the files; `check` judges plain tables and needs no pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pneumonia import processes
from pneumonia.archive import Studies, StudyArchive
from pneumonia.dicom.decoders import MissingDecoderError
from pneumonia.dicom.study import read_study
from pneumonia.dicom.windowing import to_uint8
from pneumonia.rejection import Reason, StudyError
from pneumonia.schema import raw as sources
from pneumonia.schema.data import BOXES, CATEGORIES, REJECTED, SEXES, STUDIES, UNKNOWN, VIEWS
from pneumonia.schema.table import BOX
from pneumonia.sources.labels import read_classes, read_labels, read_persons

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 16  # studies a task: about 0.1 s of work


class Image(NamedTuple):
    """What is read of a study besides its pixels; see `pneumonia.dicom.study.StudyHeader`."""

    study: str
    view: str
    sex: str
    age: float
    rows: int
    columns: int
    spacing: float
    decoder: str


class Rejected(NamedTuple):
    """A study left out."""

    study: str
    reason: Reason
    detail: str


class Tables(NamedTuple):
    """The judgement: the three tables of data/clean, and how many things of each kind were mended."""

    studies: pd.DataFrame
    boxes: pd.DataFrame
    rejected: pd.DataFrame
    mended: dict[str, int]


def clean(
    raw: Path, out: Path, *, min_box_side: float, max_age: float, window: Mapping[str, Any], workers: int = 0
) -> dict[str, Any]:
    """Read data/raw, write studies.csv, boxes.csv and rejected.csv into the folder `out`.

    Arguments:
        window: the section `images.window` of params.yaml as plain values; a study to which it cannot be applied is left
            out here, or window_resize would end there.
        workers: processes, 0 for one a core. Each decodes a study in about 4 ms.

    Returns:
        The metrics.

    Raises:
        ValueError: a file is not what it should be.
        RuntimeError: a study needs a decoder that is not installed; which studies are in must not depend on that.
    """
    labels, classes = read_labels(raw / sources.LABELS), read_classes(raw / sources.CLASSES)
    persons = read_persons(raw / sources.PERSONS)
    images, failed = read_images(StudyArchive(raw / sources.IMAGES), window, workers)
    tables = check(images, failed, labels, classes, persons, min_box_side=min_box_side, max_age=max_age)
    write(out, tables)
    return summarize(tables) | {"decoder": dict(Counter(image.decoder for image in images))}


def write(out: Path, tables: Tables) -> None:
    """Write the three tables into the folder `out`."""
    STUDIES.write(out / STUDIES.name, tables.studies)
    BOXES.write(out / BOXES.name, tables.boxes)
    REJECTED.write(out / REJECTED.name, tables.rejected)


def read_images(studies: Studies, window: Mapping[str, Any], workers: int = 0) -> tuple[list[Image], list[Rejected]]:
    """Decode every study in parallel: what was read, and what was not (also what the archive itself refuses)."""
    from tqdm import tqdm

    images: list[Image] = []
    rejected = [Rejected(study, Reason.DUPLICATE_ID, detail) for study, detail in studies.duplicates.items()]
    rejected += [Rejected(name, Reason.UNSAFE_NAME, detail) for name, detail in studies.unsafe.items()]
    for result in tqdm(
        _read_all(studies, window, workers), "clean", len(studies.studies), unit=" studies", disable=None
    ):
        if isinstance(result, Image):
            images.append(result)
        else:
            rejected.append(result)
    return images, rejected


def check(
    images: Iterable[Image],
    failed: Iterable[Rejected],
    labels: pd.DataFrame,
    classes: pd.DataFrame,
    persons: pd.DataFrame,
    *,
    min_box_side: float,
    max_age: float,
) -> Tables:
    """Join images with labels; each study ends in `studies` or in `rejected`, with the first reason that fits.

    images: the readable ones; failed: the others, whose reasons stand. labels, classes, persons: as `pneumonia.sources.labels`
    reads them. A study of unknown person is a person of its own. A box over the border is clipped to the image; a box
    with a side below `min_box_side` pixels (after clipping) is an annotation slip, so its study is left out; an age
    above `max_age` years counts as missing; "No Lung Opacity / Not Normal" is negative.
    """
    import pandas as pd

    rejected: dict[str, Rejected] = {}
    for item in failed:
        rejected.setdefault(item.study, item)
    table = pd.DataFrame(list(images), columns=list(Image._fields)).set_index("study").sort_index()
    rows, classes = labels.drop_duplicates(), classes.drop_duplicates()
    boxes = _boxes(rows, table)
    for study, reason, detail in _faults(table, rows, classes, boxes, {*rejected}, min_box_side):
        rejected.setdefault(study, Rejected(study, reason, detail))

    kept = table[~table.index.isin(list(rejected))]
    boxes = boxes[boxes["study"].isin(kept.index)].sort_values(["study", *BOX], ignore_index=True)
    known = persons.drop_duplicates("study").set_index("study")["person"].reindex(kept.index)
    odd = kept["age"] > max_age
    kept = kept.assign(
        person=known.where(known.notna(), kept.index.to_series()),
        category=classes.drop_duplicates("study").set_index("study")["category"].reindex(kept.index),
        boxes=boxes.groupby("study").size().reindex(kept.index, fill_value=0),
        age=kept["age"].mask(odd),
    )
    kept["target"] = (kept["category"] == "opacity").astype("int64")
    mended = {
        "box_clipped": int(boxes["clipped"].sum()),
        "duplicate_label_row": len(labels) - len(rows),
        "odd_age": int(odd.sum()),
    }
    left_out = sorted((item.study, str(item.reason), item.detail) for item in rejected.values())
    return Tables(
        kept.reset_index()[list(STUDIES.columns)],
        boxes[list(BOXES.columns)],
        pd.DataFrame(left_out, columns=list(REJECTED.columns)),
        mended,
    )


def summarize(tables: Tables) -> dict[str, Any]:
    """The counts of metrics/clean.json. Every key is always there, so that two runs compare."""
    studies, reasons = tables.studies, tables.rejected["reason"]
    return {
        "studies": len(studies),
        "persons": int(studies["person"].nunique()),
        "boxes": len(tables.boxes),
        "category": _counts(studies["category"], CATEGORIES),
        "view": _counts(studies["view"].replace("", UNKNOWN), [*VIEWS, UNKNOWN]),
        "sex": _counts(studies["sex"].replace("", UNKNOWN), [*SEXES, UNKNOWN]),
        "rejected": {"total": len(reasons)} | _counts(reasons, [str(reason) for reason in Reason]),
        "mended": tables.mended,
    }


def _boxes(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The label rows with any coordinate, clipped to their image: `study, x, y, width, height, clipped, fault, text`.

    fault is invalid, outside or empty; text shows the box as it was labelled.
    """
    found = rows[rows[BOX].notna().any(axis=1)].reset_index(drop=True)
    size = table[["rows", "columns"]].astype("float64").reindex(found["study"]).reset_index(drop=True)
    right, bottom = found["x"] + found["width"], found["y"] + found["height"]
    left, top = found["x"].clip(lower=0), found["y"].clip(lower=0)
    width, height = np.minimum(right, size["columns"]) - left, np.minimum(bottom, size["rows"]) - top
    invalid = ~found[BOX].apply(np.isfinite).all(axis=1) | (found[["width", "height"]] <= 0).any(axis=1)
    wide, high = (found["x"] < 0) | (right > size["columns"]), (found["y"] < 0) | (bottom > size["rows"])
    return found.assign(
        text=[f"x {x:g}, y {y:g}, width {w:g}, height {h:g}" for x, y, w, h in found[BOX].to_numpy()],
        # A side that no border cuts keeps its labelled length: x + width - x is not always width.
        x=left,
        y=top,
        width=width.where(wide, found["width"]),
        height=height.where(high, found["height"]),
        clipped=wide | high,
        fault=np.select([invalid, (width <= 0) | (height <= 0)], ["invalid", "outside"], ""),
    )


def _faults(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    classes: pd.DataFrame,
    boxes: pd.DataFrame,
    failed: set[str],
    min_box_side: float,
) -> Iterator[Rejected]:
    """Every disagreement between images, labels and classes, in the order in which they count."""

    def found(studies: Iterable[str], reason: Reason, detail: str) -> Iterator[Rejected]:
        return (Rejected(study, reason, detail) for study in studies)

    def found_boxes(wrong: pd.Series, reason: Reason, more: str = "") -> Iterator[Rejected]:
        return (Rejected(study, reason, text + more) for study, text in boxes.loc[wrong, ["study", "text"]].to_numpy())

    yes, no = {*rows.loc[rows["target"] == 1, "study"]}, {*rows.loc[rows["target"] == 0, "study"]}
    opacity = {*classes.loc[classes["category"] == "opacity", "study"]}
    classed, labelled, boxed, there = {*classes["study"]}, yes | no, {*boxes["study"]}, {*table.index}
    yield from found((labelled | classed) - there - failed, Reason.LABEL_WITHOUT_IMAGE, "no image has this id")
    yield from found(there - labelled, Reason.IMAGE_WITHOUT_LABEL, "no row of the labels has this id")
    yield from found(labelled - classed, Reason.LABEL_WITHOUT_CLASS, "no row of the classes has this id")
    yield from found(yes & no, Reason.LABELS_DISAGREE, "positive in one row of the labels, negative in another")
    several = classes.loc[classes["study"].duplicated(), "study"]
    yield from found(several, Reason.CLASSES_DISAGREE, "several classes")
    yield from found(yes - boxed, Reason.POSITIVE_WITHOUT_BOXES, "positive, but has no box")
    yield from found_boxes(boxes["study"].isin(no), Reason.NEGATIVE_WITH_BOXES)
    yield from found(yes - opacity, Reason.CLASS_DISAGREES, "positive, but its class is not opacity")
    yield from found(opacity - yes, Reason.CLASS_DISAGREES, "its class is opacity, but it is negative")
    empty = rows.loc[(rows["target"] == 1) & rows[BOX].isna().all(axis=1), "study"]
    yield from found(empty, Reason.BOX_INVALID, "one of its boxes is empty")
    yield from found_boxes(boxes["fault"] == "invalid", Reason.BOX_INVALID)
    yield from found_boxes(boxes["fault"] == "outside", Reason.BOX_OUTSIDE_IMAGE)
    small = boxes[["width", "height"]].min(axis=1) < min_box_side
    yield from found_boxes(small, Reason.BOX_TOO_SMALL, f"; wanted sides of at least {min_box_side:g} inside the image")


def _counts(values: pd.Series, names: Iterable[str]) -> dict[str, int]:
    counts = Counter(values)
    return {name: counts[name] for name in names}


def _read_all(studies: Studies, window: Mapping[str, Any], workers: int) -> Iterator[Image | Rejected]:
    """Read every study, in order of their ids."""
    workers = processes.count(workers)
    if workers == 1 or len(studies.studies) <= CHUNK:
        yield from (_read(studies, window, study) for study in studies.studies)
        return
    with processes.pool(workers, _start_process, studies, window) as executor:
        yield from executor.map(_read_in_process, studies.studies, chunksize=CHUNK)


def _read(studies: Studies, window: Mapping[str, Any], study: str) -> Image | Rejected:
    try:
        header, pixels = read_study(studies.read(study), study)
        to_uint8(header, pixels, **window)
    except MissingDecoderError as error:
        raise RuntimeError(f"study {study}: {error.detail}") from error
    except StudyError as error:
        return Rejected(study, Reason(error.reason), error.detail)
    except MemoryError:  # no fault of the study
        raise
    except Exception as error:  # nobody foresaw it; its text may quote the file
        return Rejected(study, Reason.UNREADABLE, f"cannot be read ({type(error).__name__})")
    return Image(
        study, header.view, header.sex, header.age, header.rows, header.columns, header.spacing, pixels.decoder
    )


_studies: Studies  # of a worker process
_window: Mapping[str, Any]


def _start_process(studies: Studies, window: Mapping[str, Any]) -> None:
    global _studies, _window
    _studies, _window = studies, window


def _read_in_process(study: str) -> Image | Rejected:
    return _read(_studies, _window, study)
