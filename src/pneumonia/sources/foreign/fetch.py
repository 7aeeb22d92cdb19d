"""A labelled set of another project to data/raw: the challenge's tables, and all images as DICOM files in one archive.

What a layout leaves open is asked for (`fetch.foreign`), not guessed; what is wrong with a study's labels is for
`pneumonia.data.clean` to judge, as with the challenge's own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pneumonia.archive import write_archive
from pneumonia.files import write_csv
from pneumonia.schema import raw
from pneumonia.schema.table import BOX
from pneumonia.sources.foreign import coco, files, nih_boxes, pictures, sidecar, siim, vindr, yolo
from pneumonia.sources.foreign.marked import NORMAL, NOT_NORMAL, UNMARKED, Facts, Marked, Options, below, some
from pneumonia.sources.labels import CLASSES
from pneumonia.sources.local import TRAIN_IMAGES
from pneumonia.sources.persons import read_mapping

if TYPE_CHECKING:
    import pandas as pd

READERS: dict[str, Callable[[Path, Options], Marked]] = {
    "coco": coco.read,
    "yolo": yolo.read,
    "vindr": vindr.read,
    "siim": siim.read,
    "nih_boxes": nih_boxes.read,
}
_CLASS = {category: name for name, category in CLASSES.items()}
_DIGITS = 6  # of a coordinate


def fetch_labelled(
    layout: str, source: Path, folder: Path, options: Options, sha256: str = "", persons: Path | None = None
) -> None:
    """Write images.zip, labels.csv, classes.csv and persons.csv of the set in the folder `source` into `folder`.

    Arguments:
        layout: one of `READERS`.
        source: the set as it is published, unpacked.
        folder: made where there is none.
        options: what the layout leaves open.
        sha256: must be empty; it is of a zip.
        persons: see `pneumonia.sources.persons`; beside what the layout and the sidecar know.

    Raises:
        FileNotFoundError: what is missing, in one sentence.
        ValueError: what contradicts itself, or is left open; it names file and line, or how many.
    """
    source = Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder; wanted the set as it is published, unpacked")
    if sha256:
        raise ValueError(f"{source} is a folder; a sha256 can be checked of a zip only: clear it")
    marked = READERS[layout](source, options)
    negative = _decided(marked, options.unmarked, source)
    facts = _facts(marked, source, options.sidecar)
    for note in marked.notes:
        _warn(f"{source}: {note}")
    named = {*marked.boxes, *negative}
    for what, studies in (
        ("labelled studies without image", named - {*marked.images}),
        ("images without label", {*marked.images} - named),
    ):
        if studies:
            _warn(f"{source}: {len(studies)} {what}: {some(studies)}; clean will list them")

    folder.mkdir(parents=True, exist_ok=True)
    labels, classes = tables(marked.boxes, negative)
    write_csv(folder / raw.LABELS, labels, dict.fromkeys(BOX, _DIGITS))
    write_csv(folder / raw.CLASSES, classes)
    write_csv(folder / raw.PERSONS, _persons(facts, persons, named | {*marked.images}, source))
    _write_images(folder / raw.IMAGES, marked.images, facts, source)


def tables(
    boxes: dict[str, list[tuple[float, float, float, float]]], negative: dict[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The challenge's labels and classes, rows sorted by study.

    Arguments:
        boxes: positive study -> its boxes; without any, the row of the study has an empty one.
        negative: study -> normal or not_normal.
    """
    import pandas as pd

    nothing = (math.nan, math.nan, math.nan, math.nan)
    rows: list[tuple[object, ...]] = [
        (study, *box, 1) for study, found in boxes.items() for box in (found or [nothing])
    ]
    rows += [(study, *nothing, 0) for study in negative]
    classes = [(study, _CLASS["opacity"]) for study, found in boxes.items() for _ in (found or [nothing])]
    classes += [(study, _CLASS[category]) for study, category in negative.items() if study not in boxes]
    labels = pd.DataFrame(rows, columns=["patientId", *BOX, "Target"])
    labels = labels.sort_values("patientId", kind="stable", ignore_index=True)
    named = pd.DataFrame(classes, columns=["patientId", "class"]).sort_values("patientId", kind="stable")
    return labels, named


def _decided(marked: Marked, unmarked: str, source: Path) -> dict[str, str]:
    """`marked.negative` with what is to be taken of images without any mark."""
    open_ones = [study for study, category in marked.negative.items() if category == UNMARKED]
    if open_ones and unmarked not in (NORMAL, NOT_NORMAL):
        raise ValueError(
            f"{source}: {len(open_ones)} images have no box, such as {min(open_ones)}, and the layout does not say whether "
            f"they are normal; set fetch.foreign.unmarked to {NORMAL} or {NOT_NORMAL}"
        )
    if open_ones:
        marked.notes.append(
            f"{len(open_ones)} images without a box are taken for {unmarked}, as fetch.foreign.unmarked says"
        )
    return {study: category or unmarked for study, category in marked.negative.items()}


def _facts(marked: Marked, source: Path, name: str) -> dict[str, Facts]:
    """Study -> what is known of it, by the layout itself or by a sidecar."""
    facts = marked.facts
    if name:
        if facts:
            raise ValueError(f"{source}: the set says persons, sex and age itself; clear fetch.foreign.sidecar")
        facts = sidecar.read(below(source, name, "sidecar"))
        if strange := {*facts} - {*marked.images}:
            marked.notes.append(f"{len(strange)} studies of {name} have no image: {some(strange)}")
    of_dicom = [study for study, path in marked.images.items() if not files.is_picture(path) and study in facts]
    if any(facts[study] != Facts(person=facts[study].person) for study in of_dicom):
        marked.notes.append(
            f"of {len(of_dicom)} DICOM files only the person is taken from beside them; the header has the rest"
        )
    of_pictures = [facts.get(study, Facts()) for study, path in marked.images.items() if files.is_picture(path)]
    for what in ("sex", "age", "view", "spacing"):
        if missing := sum(not getattr(each, what) for each in of_pictures):
            marked.notes.append(f"{what} of {missing} of {len(of_pictures)} pictures is unknown, and stays so")
    return facts


def _persons(facts: dict[str, Facts], path: Path | None, studies: set[str], source: Path) -> pd.DataFrame:
    """`study, person`, rows where the person is known."""
    import pandas as pd

    known = {study: fact.person for study, fact in facts.items() if fact.person and study in studies}
    if path is not None:
        table = read_mapping(path)
        told = {study: person for study, person in table.itertuples(index=False) if study in studies}
        if against := [study for study, person in told.items() if known.get(study, person) != person]:
            raise ValueError(f"{path}: {len(against)} studies are of other persons than {source} says: {some(against)}")
        known |= told
    if unknown := len(studies) - len(known):
        _warn(
            f"{source}: of {unknown} of {len(studies)} studies no person is known; each counts as a person of its own, so "
            "that a person's studies may be in training and in validation. Give fetch.persons or a sidecar"
        )
    return pd.DataFrame(sorted(known.items()), columns=["study", "person"])


def _write_images(path: Path, images: dict[str, Path], facts: dict[str, Facts], source: Path) -> None:
    from tqdm import tqdm

    refused: list[str] = []

    def members() -> Iterator[tuple[str, bytes]]:
        for study in tqdm(sorted(images), f"copy {source.name}", unit=" studies", disable=None):
            data = files.read(images[study])
            if files.is_picture(images[study]):
                try:
                    data = pictures.wrap(data, study, replace(facts.get(study, Facts()), person=""))
                except ValueError as error:
                    refused.append(f"{images[study].relative_to(source).as_posix()} ({error})")
                    continue
            yield f"{TRAIN_IMAGES}/{study}.dcm", data

    write_archive(path, members())
    if refused:
        raise ValueError(f"{source}: {len(refused)} pictures cannot be used: {some(refused)}; mend or remove them")


def _warn(text: str) -> None:
    logging.getLogger(__name__).warning("%s", text)
