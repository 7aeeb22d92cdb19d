"""Corrected boxes as new label tables in the challenge's columns, and what differs from those before, box by box.

Rows of studies that nobody changed are copied as they are. A study that has lost its last box is negative; whether it is
normal is not known and must be said.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from keraskit.boxes.arrays import iou, xywh_to_xyxy
from pneumonia.annotation.marks import MOST_NAMES, Box
from pneumonia.schema.table import BOX, BOX_DECIMALS
from pneumonia.sources.labels import CLASSES

SAME = 0.05  # pixels, of all four edges: what tools lose by writing decimals
MOVED = 0.1  # IoU from which a box is the one before, moved
CHANGES = ("added", "moved", "removed")
DIFF = ["study", "change", *BOX, *(f"new_{side}" for side in BOX), "iou"]
_CLASS = {category: name for name, category in CLASSES.items()}


class Change(NamedTuple):
    """What became of a box: before and after, None where it is not there."""

    change: str
    before: Box | None
    after: Box | None
    iou: float = float("nan")


def changes(before: Sequence[Box], after: Sequence[Box]) -> list[Change]:
    """What was done to the boxes of one study; nothing where they are the same.

    The pair of the highest IoU goes together first. (0, 0, 10, 10) and (0, 0, 10, 12) are one box moved (IoU 100 / 120); with
    (50, 50, 5, 5) instead one was removed and one added.
    """
    old, new = list(before), list(after)
    overlaps = iou(xywh_to_xyxy(np.reshape(old, (-1, 4))), xywh_to_xyxy(np.reshape(new, (-1, 4))))
    pairs = sorted((-overlaps[i, j], i, j) for i in range(len(old)) for j in range(len(new)) if overlaps[i, j] >= MOVED)
    mate: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in mate and j not in mate.values():
            mate[i] = j
    found = [
        Change("moved", old[i], new[j], float(overlaps[i, j]))
        for i, j in sorted(mate.items())
        if not _same(old[i], new[j])
    ]
    found += [Change("removed", old[i], None) for i in range(len(old)) if i not in mate]
    return found + [Change("added", None, new[j]) for j in range(len(new)) if j not in mate.values()]


def compare(before: Mapping[str, Sequence[Box]], after: Mapping[str, Sequence[Box]]) -> dict[str, list[Change]]:
    """Study -> its changes, of the studies of `after` that have any."""
    found = {study: changes(before.get(study, ()), boxes) for study, boxes in sorted(after.items())}
    return {study: own for study, own in found.items() if own}


def table(found: Mapping[str, Sequence[Change]]) -> pd.DataFrame:
    """A row a changed box, with the columns `DIFF`; coordinates that are not there are NaN."""
    nothing = (float("nan"),) * 4
    rows = [
        (study, c.change, *(c.before or nothing), *(c.after or nothing), c.iou)
        for study, own in found.items()
        for c in own
    ]
    return pd.DataFrame(rows, columns=DIFF)


def labels(
    rows: bytes, classes: bytes, after: Mapping[str, Sequence[Box]], changed: Mapping[str, object], cleared: str
) -> tuple[str, str]:
    """The new label and class tables as text.

    Arguments:
        rows, classes: the tables before, of the challenge's columns.
        after: study -> its boxes now.
        changed: the studies whose rows are to be replaced, among those of `after`.
        cleared: normal or not_normal, what a study is that has lost its last box; empty where that was not said.

    Raises:
        ValueError: a study has lost its last box and `cleared` does not say what it is.
    """
    emptied = sorted(study for study in changed if not after[study])
    if emptied and not cleared:
        raise ValueError(
            f"{len(emptied)} studies have lost their last box, such as {', '.join(emptied[:MOST_NAMES])}; say what they are "
            "with --cleared normal or not_normal"
        )
    new_rows = {
        study: [[study, *map(_text, box), "1"] for box in after[study]] or [[study, "", "", "", "", "0"]]
        for study in changed
    }
    category = {study: _CLASS["opacity" if after[study] else cleared] for study in changed}
    new_classes = {study: [[study, category[study]]] * len(own) for study, own in new_rows.items()}
    return (
        _replaced(rows, ["patientId", *BOX, "Target"], new_rows),
        _replaced(classes, ["patientId", "class"], new_classes),
    )


def _replaced(data: bytes, columns: Sequence[str], new: Mapping[str, list[list[str]]]) -> str:
    """A CSV with all rows of some studies replaced, each where its first one stood; other columns of theirs are emptied."""
    header, *lines = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]
    header = [name.strip() for name in header]
    study = header.index(columns[0])
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    written = set()
    for line in lines:
        own = line[study].strip()
        if own not in new:
            writer.writerow(line)
        elif own not in written:
            written.add(own)
            for values in new[own]:
                by_name = dict(zip(columns, values, strict=True))
                writer.writerow([by_name.get(name, "") for name in header])
    return stream.getvalue()


def _same(one: Box, other: Box) -> bool:
    edges = np.abs(xywh_to_xyxy([one]) - xywh_to_xyxy([other]))
    return bool(edges.max() <= SAME)


def _text(side: float) -> str:
    return f"{side:.{BOX_DECIMALS['x']}f}".rstrip("0").rstrip(".")


def boxes_by_study(boxes: pd.DataFrame) -> dict[str, list[Box]]:
    """`study, x, y, width, height` as study -> boxes."""
    found: dict[str, list[Box]] = {}
    for study, *box in boxes[["study", *BOX]].itertuples(index=False):
        x, y, width, height = map(float, box)
        found.setdefault(study, []).append((x, y, width, height))
    return found


def read_table_bytes(path: Path) -> bytes:
    """A label table as it is; FileNotFoundError names what is missing."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found; run `dvc repro clean` first")
    return path.read_bytes()
