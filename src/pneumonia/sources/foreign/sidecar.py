"""A CSV beside pictures, of what a DICOM header would say: `study`, and any of `person, sex, age, view, spacing`.

sex is F or M, age in years, view AP or PA, spacing mm between pixels, which are square; what is empty is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pneumonia.schema.data import SEXES, VIEWS
from pneumonia.sources.foreign.marked import Facts, repeated, some
from pneumonia.sources.labels import read_table

_NUMBER = re.compile(r"\d{1,3}(\.\d{1,6})?")
_FORMS = {
    "sex": (re.compile("|".join(SEXES)), " or ".join(SEXES)),
    "view": (re.compile("|".join(VIEWS)), " or ".join(VIEWS)),
    "age": (_NUMBER, "years"),
    "spacing": (_NUMBER, "mm"),
}
OPTIONAL = ("person", *_FORMS)


def read(path: Path) -> dict[str, Facts]:
    """Study -> what the file says of it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a study comes twice, a column is unknown, or a value is not of its form; it names line and column.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such sidecar; set fetch.foreign.sidecar to a CSV, or clear it")
    header = path.read_text(encoding="utf-8-sig", errors="replace").partition("\n")[0].strip().split(",")
    columns = [name.strip().strip('"') for name in header]
    if odd := [name for name in columns if name not in ("study", *OPTIONAL)]:
        raise ValueError(f"{path}: columns {', '.join(odd)} are not known; wanted study and {', '.join(OPTIONAL)}")
    table = read_table(path, ["study", *(name for name in OPTIONAL if name in columns)])
    if twice := repeated(table["study"]):
        raise ValueError(f"{path}: {len(twice)} studies come more than once: {some(twice)}")
    check(table.itertuples(), path)
    facts = table.drop(columns="study")
    return {
        study: Facts(**dict(zip(facts.columns, row, strict=True)))
        for study, row in zip(table["study"], facts.itertuples(index=False), strict=True)
    }


def check(rows: Iterable[object], path: Path) -> None:
    """Refuse rows whose values are not of the form of their column; `Index` of a row is its line.

    Raises:
        ValueError: naming line and column.
    """
    for row in rows:
        for column, (form, wanted) in _FORMS.items():
            value = getattr(row, column, "")
            if value and not form.fullmatch(value):
                line = row.Index  # type: ignore[attr-defined]
                raise ValueError(f"{path}: line {line}, column {column}: wanted {wanted} or nothing, got {value!r}")
