"""The challenge's label files, and the mapping of studies to persons: read, checked row by row.

Together with `pneumonia.sources` and `pneumonia.prediction.submission` the only place that knows the challenge's column names.
What is wrong with a row's form is an error here; what is wrong with a study's labels is for `pneumonia.data.clean` to judge.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from pneumonia.schema.data import CATEGORIES
from pneumonia.schema.table import BOX

if TYPE_CHECKING:
    import pandas as pd

CLASSES = dict(zip(("Normal", "No Lung Opacity / Not Normal", "Lung Opacity"), CATEGORIES, strict=True))
ID_COLUMNS = ("patientId", "study")

Table = str | Path | IO[bytes]  # a CSV file


def read_labels(path: Table, name: str = "") -> pd.DataFrame:
    """stage_2_train_labels.csv as `study, x, y, width, height, target`: a row a box; one without box a negative study.

    Coordinates are float pixels of the original image, NaN where empty; target is 0 or 1; rows stay in their order.
    Raises ValueError naming file, row and column where a value is no number, a target not 0 or 1, or an id empty.
    """
    name = name or str(path)
    frame = read_table(path, ["patientId", *BOX, "Target"], name)
    numbers = {column: _numbers(name, frame[column]) for column in BOX}
    target = _numbers(name, frame["Target"])
    _refuse(name, "Target", ~target.isin([0, 1]), frame["Target"], "0 or 1")
    frame = frame.assign(**numbers, target=target.astype("int64")).rename(columns={"patientId": "study"})
    return frame[["study", *BOX, "target"]].reset_index(drop=True)


def read_classes(path: Table, name: str = "") -> pd.DataFrame:
    """stage_2_detailed_class_info.csv as `study, category`, a row for every row of the labels file.

    category is normal, not_normal or opacity. Raises ValueError naming file, row and column for any other class.
    """
    name = name or str(path)
    frame = read_table(path, ["patientId", "class"], name)
    category = frame["class"].map(CLASSES)
    _refuse(name, "class", category.isna(), frame["class"], " or ".join(map(repr, CLASSES)))
    frame = frame.assign(category=category.astype("str")).rename(columns={"patientId": "study"})
    return frame[["study", "category"]].reset_index(drop=True)


def read_persons(path: str | Path) -> pd.DataFrame:
    """data/raw/persons.csv as `study, person`, rows where the person is known."""
    return read_table(path, ["study", "person"]).reset_index(drop=True)


def read_ids(path: str | Path) -> list[str]:
    """A list of study ids, sorted: a CSV with a column `patientId` or `study`, or a text file with an id a line.

    Lines that start with `#` and empty lines are passed over; a list without ids is empty. The challenge's sample
    submissions are such CSVs. Raises FileNotFoundError, and ValueError for an id that stands there twice or a CSV
    without such a column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of study ids")
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    rows = list(csv.reader(line for line in lines if line and not line.startswith("#")))
    header = [name.strip() for name in rows[0]] if rows else []
    column = next((header.index(name) for name in ID_COLUMNS if name in header), None)
    if column is not None:
        rows = rows[1:]
    elif any(len(row) > 1 for row in rows):
        raise ValueError(
            f"{path}: a column {' or '.join(ID_COLUMNS)} or one id a line is wanted, got {','.join(header)}"
        )
    ids = [row[column or 0].strip() if len(row) > (column or 0) else "" for row in rows]
    if "" in ids:
        raise ValueError(f"{path}: row {ids.index('') + 1} has no id")
    if len(set(ids)) != len(ids):
        twice = next(study for study, count in Counter(ids).items() if count > 1)
        raise ValueError(f"{path}: every id is wanted once, {twice} comes twice")
    return sorted(ids)


def read_table(path: Table, columns: Sequence[str], name: str = "") -> pd.DataFrame:
    """Some columns of a CSV as text, the first of them (the id) never empty, indexed by the number of the line.

    Arguments:
        path: the file, or an open one; `name` is then what errors call it.

    A line may end in commas, as some programs leave them, and be too short, which reads as empty values. One with more
    values than there are columns is refused: which of them is meant cannot be known. Raises ValueError naming what is
    wrong.
    """
    import pandas as pd

    name = name or str(path)
    header, rows = _rows(path, name)
    twice = [column for column in columns if header.count(column) > 1]
    if twice:
        raise ValueError(f"{name}: column {twice[0]} comes {header.count(twice[0])} times; wanted each once")
    missing = [column for column in columns if column not in header]
    if missing:
        raise ValueError(
            f"{name}: columns {', '.join(missing)} are missing; wanted {','.join(columns)}, got {','.join(header)}"
        )
    places = [header.index(column) for column in columns]
    cells = [[row[place] if place < len(row) else "" for place in places] for row in rows.values()]
    frame = pd.DataFrame(cells, columns=list(columns), index=list(rows), dtype="str")
    _refuse(name, columns[0], frame[columns[0]] == "", frame[columns[0]], "an id")
    return frame


def _rows(path: Table, name: str) -> tuple[list[str], dict[int, list[str]]]:
    """The header, and the values of each line by its number, counting as editors do; empty lines are passed over."""
    try:
        data = path.read() if not isinstance(path, str | Path) else Path(path).read_bytes()
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(reader.line_num, [value.strip() for value in row]) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{name} is not a CSV file in UTF-8: {error}") from error
    if not lines:
        raise ValueError(f"{name} is not a CSV file in UTF-8: it is empty")
    header = lines[0][1]
    while header and not header[-1]:
        header.pop()
    for number, row in lines[1:]:
        extra = row[len(header) :]
        if any(extra):
            raise ValueError(
                f"{name}: line {number} has {len(row)} values for {len(header)} columns; wanted {','.join(header)}"
            )
    return header, dict(lines[1:])


def _numbers(name: str, column: pd.Series) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    _refuse(name, str(column.name), numbers.isna() & (column != ""), column, "a number")
    return numbers


def _refuse(name: str, column: str, wrong: pd.Series, values: pd.Series, wanted: str) -> None:
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        more = f" (and {int(wrong.sum()) - 1} more rows)" if wrong.sum() > 1 else ""
        line = values.index[first]
        raise ValueError(f"{name}: line {line}, column {column}: wanted {wanted}, got {values.iloc[first]!r}{more}")
