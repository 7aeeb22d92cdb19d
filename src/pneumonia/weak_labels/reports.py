"""A hospital's own archive: a CSV of report texts and images by name; the findings are read off the texts by rules."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath

from pneumonia.weak_labels.labeller import label
from pneumonia.weak_labels.labels import Labels, Rejected, person_key, rows, table
from pneumonia.weak_labels.nih import FINDINGS  # the labeller's are the same


def read(path: str | Path) -> Labels:
    """The rows of a CSV with the columns `study`, `person` and `text`; an image is its study, the stem of its file.

    A finding that a text does not mention stays unknown. A text without any finding is rejected, and so is a study without a
    person, or with two texts that differ.

    Raises:
        ValueError: a column is missing. A text never stands in a message.
    """
    texts: dict[str, tuple[str, str]] = {}
    rejected: dict[str, Rejected] = {}
    for number, row in enumerate(rows(path, ("study", "person", "text")), start=2):
        study, told = row["study"], (person_key(row["person"]), row["text"])
        if not study or not told[0]:
            rejected[study or f"row {number}"] = Rejected(study, "person_missing", f"row {number}")
        elif texts.setdefault(study, told) != told:
            rejected[study] = Rejected(study, "duplicate_label", f"row {number}: another text or person")
    found = []
    for study, (person, text) in texts.items():
        states = label(text)
        if study not in rejected and not states:
            rejected[study] = Rejected(study, "nothing_found", "no finding is named in the text")
        if study not in rejected:
            found.append((study, person, dict.fromkeys(FINDINGS, math.nan) | states))
    return Labels(table(found, FINDINGS), FINDINGS, list(rejected.values()), key)


def key(name: str) -> str:
    """`2021/a17.png` -> `a17`."""
    return PurePosixPath(name).stem
