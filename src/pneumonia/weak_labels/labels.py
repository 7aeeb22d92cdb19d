"""The one form of all sources: a row an image, whose person it is, and how each finding stands."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

POSITIVE, NEGATIVE, UNCERTAIN = 1.0, 0.0, -1.0  # NaN: not mentioned
_NUMBER = re.compile(r"\+?[0-9]+(\.[0-9]*)?([eE]\+?[0-9]{1,2})?")


class Rejected(NamedTuple):
    """An image that is not used: its name, one word why, and what was found."""

    image: str
    reason: str
    detail: str


class Labels(NamedTuple):
    """What a source says of its images.

    Attributes:
        table: `image`, `person` and a float column a finding: 1, 0, -1 uncertain, NaN not mentioned; images are unique.
        findings: names of those columns.
        rejected: rows of the source that cannot be used.
        key: file name of an image, as it lies in a folder or archive -> its `image`.
    """

    table: pd.DataFrame
    findings: tuple[str, ...]
    rejected: list[Rejected]
    key: Callable[[str], str]


def person_key(text: object) -> str:
    """One spelling for a person: `00019124`, `19124`, `"19124.0"` and `1.9124e4` are `19124`; other ids in lower case.

    Two persons whose ids differ in leading zeros alone would become one, which leaves out one too many.
    """
    plain = str(text).strip().strip("\"'").strip()
    if _NUMBER.fullmatch(plain) and (number := Decimal(plain)) == number.to_integral_value():
        return str(int(number))
    return plain.casefold()


def rows(path: str | Path, wanted: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV, each with the columns `wanted` by their names; whatever else stands in the file is passed over.

    A header may have other fields than the rows at its end (NIH's older file has `OriginalImage[Width,Height]`, unquoted).

    Raises:
        FileNotFoundError: there is no such file. ValueError: it lacks one of them, or a row ends before it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of labels; set pretrain.labels")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, strict=True)
        header = [name.strip() for name in next(lines, [])]
        missing = [name for name in wanted if name not in header]
        if missing:
            raise ValueError(f"{path}: columns {missing} are missing, found {header}")
        at = {name: header.index(name) for name in wanted}
        for number, line in enumerate(lines, start=2):
            if not line:
                continue
            if len(line) <= max(at.values()):
                raise ValueError(f"{path}: row {number} has {len(line)} fields, wanted {max(at.values()) + 1}")
            yield {name: line[place].strip() for name, place in at.items()}


def table(found: Sequence[tuple[str, str, dict[str, float]]], findings: Sequence[str]) -> pd.DataFrame:
    """The table of `Labels`, sorted by image, of (image, person, finding -> state)."""
    import pandas as pd

    columns = ["image", "person", *findings]
    frame = pd.DataFrame(
        [{"image": image, "person": person, **states} for image, person, states in found], columns=columns
    )
    frame = frame.astype({"image": "str", "person": "str"} | dict.fromkeys(findings, "float64"))
    return frame.sort_values("image", ignore_index=True)
