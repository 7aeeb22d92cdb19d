"""NIH ChestX-ray14 with its boxes (nihcc.app.box.com/v/ChestXray-NIHCC): images of 1024 x 1024 pixels, `BBox_List_2017.csv`
(header `Image Index,Finding Label,Bbox [x,y,w,h],,,`) and `Data_Entry_2017.csv` or `Data_Entry_2017_v2020.csv` (findings mined
from reports, person, age, sex, view).

Few images have boxes: one whose report has an opacity and that has no box is positive without boxes, which clean leaves
out. The spacing that the table gives is that of the images before they were resized, so it stays unknown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pneumonia.archive import files_below
from pneumonia.sources.foreign import files, sidecar
from pneumonia.sources.foreign.marked import (
    NORMAL,
    NOT_NORMAL,
    Facts,
    Marked,
    Options,
    below,
    only,
    opacities,
    repeated,
    some,
)
from pneumonia.sources.foreign.vindr import read_header
from pneumonia.sources.labels import read_table

if TYPE_CHECKING:
    import pandas as pd

SIDE = 1024  # pixels, of the images and of the frame of the boxes
BOXES, BOX = "BBox_List_2017.csv", ["Bbox [x", "y", "w", "h]"]
NO_FINDING = "No Finding"
SAME = {"Infiltrate": "Infiltration"}  # how the boxes' file writes it, and the reports'
SEX_COLUMNS = ("Patient Gender", "Patient Sex")
_YEARS = {"": 1.0, "Y": 1.0, "M": 12.0, "D": 365.25}  # parts of a year; the first release has 058Y


def read(source: Path, options: Options) -> Marked:
    """The set in the folder `source`.

    Raises:
        FileNotFoundError, ValueError: see `pneumonia.sources.foreign.fetch`.
    """
    inside = files_below(source)
    boxes_path = only([path for path in inside if path.name == BOXES], BOXES, source)
    entry_path = only([path for path in inside if re.fullmatch(r"Data_Entry_2017(_v2020)?\.csv", path.name)],
                      "Data_Entry_2017.csv or Data_Entry_2017_v2020.csv", source)  # fmt: skip
    folder = below(source, options.images, "folder of images") if options.images else source
    marked = Marked(files.by_study(files.images(folder), source))
    boxes, entries = _boxes(boxes_path), _entries(entry_path)
    findings = {
        study: {*text.split("|")} for study, text in zip(entries["study"], entries["Finding Labels"], strict=True)
    }
    names = {*boxes["Finding Label"], *(name for each in findings.values() for name in each)} - {NO_FINDING}
    wanted = opacities(names, [SAME.get(name, name) for name in options.opacity], source)

    found = boxes[boxes["Finding Label"].isin(wanted)]
    for study, rows in found.groupby("study"):
        marked.boxes[str(study)] = [tuple(row) for row in rows[BOX].itertuples(index=False)]
    boxed = {*boxes["study"]}
    for study, said in findings.items():
        if study not in marked.images or study in marked.boxes:
            continue
        if said & wanted:
            marked.boxes[study] = []
        elif said == {NO_FINDING} and study not in boxed:
            marked.negative[study] = NORMAL
        else:
            marked.negative[study] = NOT_NORMAL
    if missing := len({*findings} - {*marked.images}):
        marked.notes.append(f"{missing} of {len(findings)} images of {entry_path.name} are not here and passed over")
    _check_sizes(marked, source)
    marked.facts = {study: fact for study, fact in _facts(entries).items() if study in marked.images}
    return marked


def _boxes(path: Path) -> pd.DataFrame:
    """`study`, `Finding Label` and the four of `BOX` as numbers."""
    import pandas as pd

    table = read_table(path, ["Image Index", "Finding Label", *BOX])
    for column in BOX:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if (wrong := table.index[numbers.isna()]).size:
            raise ValueError(
                f"{path}: line {wrong[0]}, column {column}: wanted a number, got {table.at[wrong[0], column]!r}"
            )
        table[column] = numbers.astype("float64")
    return table.assign(
        study=[Path(name).stem for name in table["Image Index"]],
        **{"Finding Label": table["Finding Label"].replace(SAME)},
    )


def _entries(path: Path) -> pd.DataFrame:
    """The table of reports: `study`, `Finding Labels` and what `Facts` has."""
    header = read_header(path)
    sex = next((name for name in SEX_COLUMNS if name in header), SEX_COLUMNS[0])
    columns = ["Image Index", "Finding Labels", "Patient ID", "Patient Age", sex, "View Position"]
    table = read_table(path, columns).rename(columns={sex: "sex", "View Position": "view", "Patient ID": "person"})
    if twice := repeated(table["Image Index"]):
        raise ValueError(f"{path}: {len(twice)} images come more than once: {some(twice)}")
    table["age"] = [_years(text, line, path) for line, text in table["Patient Age"].items()]
    sidecar.check(table[["sex", "view"]].itertuples(), path)
    if (empty := table.index[table["Finding Labels"] == ""]).size:
        raise ValueError(f"{path}: line {empty[0]}, column Finding Labels: wanted findings or {NO_FINDING}, got none")
    return table.assign(study=[Path(name).stem for name in table["Image Index"]])


def _years(text: str, line: object, path: Path) -> str:
    match = re.fullmatch(r"(\d{1,3})([YMD]?)", text)
    if text and not match:
        raise ValueError(f"{path}: line {line}, column Patient Age: wanted years, got {text!r}")
    return f"{int(match[1]) / _YEARS[match[2]]:.0f}" if match else ""


def _facts(entries: pd.DataFrame) -> dict[str, Facts]:
    rows = entries[["study", "person", "sex", "age", "view"]].itertuples(index=False)
    return {study: Facts(person, sex, age, view) for study, person, sex, age, view in rows}


def _check_sizes(marked: Marked, source: Path) -> None:
    """Refuse positive images of another size than the frame of the boxes."""
    wrong = [study for study, boxes in marked.boxes.items()
             if boxes and study in marked.images and files.size(marked.images[study]) not in (None, (SIDE, SIDE))]  # fmt: skip
    if wrong:
        raise ValueError(
            f"{source}: {len(wrong)} images with boxes are not of {SIDE} x {SIDE} pixels, in which NIH's boxes are: {some(wrong)}"
        )
