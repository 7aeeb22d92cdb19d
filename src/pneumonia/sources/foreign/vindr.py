"""VinDr-CXR (physionet.org/content/vindr-cxr, 1.0.0): `train/` and `test/` of .dicom files, `annotations/annotations_train.csv`
(`image_id,rad_id,class_name,x_min,y_min,x_max,y_max`, a row a box of one of three radiologists; `No finding` without box),
`annotations_test.csv` (the same without rad_id: a consensus), `image_labels_*.csv` (a 0/1 column a class).

A box counts where enough radiologists drew one in the same place; it is then the mean of theirs. An image on which some
saw an opacity and too few agreed is labelled both ways, so that clean leaves it out as `labels_disagree`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pneumonia.sources.foreign import files
from pneumonia.sources.foreign.marked import NORMAL, NOT_NORMAL, Box, Marked, Options, below, opacities
from pneumonia.sources.labels import read_table

if TYPE_CHECKING:
    import pandas as pd

NO_FINDING = "No finding"
CONSENSUS = "consensus"  # who drew the boxes of a table without rad_id
SUBSETS = ("train", "test")
CORNERS = ("x_min", "y_min", "x_max", "y_max")


class Drawn(NamedTuple):
    """A box that a radiologist drew."""

    reader: str
    box: Box


def read(source: Path, options: Options) -> Marked:
    """The set in the folder `source`.

    Raises:
        FileNotFoundError, ValueError: see `pneumonia.sources.foreign.fetch`.
    """
    folder = below(source, options.images, "folder of images") if options.images else source
    marked = Marked(files.by_study(files.images(folder), source))
    tables = {subset: found for subset in SUBSETS if (found := _tables(source, subset))}
    if not tables:
        raise FileNotFoundError(f"{source}: no annotations_train.csv or annotations_test.csv, there or in annotations/")
    names = {name for rows, seen in tables.values() for name in (*rows["class_name"], *seen["class_name"])}
    wanted = opacities(names - {NO_FINDING}, options.opacity, source)
    left, disagreed = 0, 0
    for subset, (rows, seen) in tables.items():
        enough = options.radiologists if subset == "train" else 1
        readers = seen.groupby("image_id")["rad_id"].nunique()
        if (short := readers[readers < enough]).size:
            raise ValueError(
                f"{source}: fetch.foreign.radiologists is {enough}, but {short.size} images of {subset} were read by fewer, "
                f"such as {short.index[0]}"
            )
        said = seen[seen["class_name"].isin(wanted)].groupby("image_id")["rad_id"].nunique()
        quiet = seen.assign(other=seen["class_name"] != NO_FINDING).groupby("image_id")["other"].any()
        boxes = {image: _drawn(found) for image, found in rows[rows["class_name"].isin(wanted)].groupby("image_id")}
        for image in quiet.index:
            agreed, alone = consensus(boxes.get(image, []), enough, options.agreement)
            left += alone
            if agreed or said.get(image, 0) >= enough:
                marked.boxes[image] = agreed
            elif said.get(image, 0):
                marked.boxes[image], marked.negative[image] = [], NOT_NORMAL
                disagreed += 1
            else:
                marked.negative[image] = NOT_NORMAL if quiet[image] else NORMAL
    if disagreed:
        marked.notes.append(f"{disagreed} images have an opacity by fewer radiologists than fetch.foreign.radiologists")
    if left:
        marked.notes.append(f"{left} boxes by fewer radiologists than fetch.foreign.radiologists are left out")
    return marked


def consensus(drawn: Sequence[Drawn], enough: int, agreement: float) -> tuple[list[Box], int]:
    """The boxes that `enough` readers drew in the same place, and how many drawn boxes belong to none of them.

    Boxes of different readers join, the pair of the highest IoU first, where every two of a group have at least
    `agreement`. Of (0, 0, 10, 10), (0, 0, 10, 12) and (50, 50, 5, 5) by three readers the first two give
    (0, 0, 10, 11), as their IoU is 100 / 120.
    """
    groups = [[each] for each in sorted(set(drawn))]
    overlap = {(a, b): _iou(a.box, b.box) for group in groups for a in group for other in groups for b in other}
    while True:
        pairs = [
            (min(overlap[a, b] for a in one for b in two), -first, -second)
            for first, one in enumerate(groups)
            for second, two in enumerate(groups)
            if first < second and not {a.reader for a in one} & {b.reader for b in two}
        ]
        best = max(pairs, default=(-1.0, 0, 0))
        if best[0] < agreement:
            break
        groups[-best[1]] += groups.pop(-best[2])
    kept = [group for group in groups if len(group) >= enough]
    return [_mean([each.box for each in group]) for group in kept], sum(
        len(group) for group in groups if group not in kept
    )


def _tables(source: Path, subset: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Rows of boxes, and `image_id, rad_id, class_name` of all that a reader said of an image; None without the files."""
    import pandas as pd

    name = f"annotations_{subset}.csv"
    path = next((place for place in (source / "annotations" / name, source / name) if place.is_file()), None)
    if path is None:
        return None
    reader = ["rad_id"] if subset == "train" else []
    rows = read_table(path, ["image_id", *reader, "class_name", *CORNERS])
    for column in (*reader, "class_name"):
        if (empty := rows.index[rows[column] == ""]).size:
            raise ValueError(f"{path}: line {empty[0]}, column {column}: wanted a value, got none")
    if not reader:
        rows["rad_id"] = CONSENSUS
    for corner in CORNERS:
        numbers = pd.to_numeric(rows[corner], errors="coerce")
        wrong = rows.index[numbers.isna() & (rows["class_name"] != NO_FINDING)]
        if wrong.size:
            raise ValueError(
                f"{path}: line {wrong[0]}, column {corner}: wanted a number, got {rows.at[wrong[0], corner]!r}"
            )
        rows[corner] = numbers
    columns = ["image_id", "rad_id", "class_name"]
    return rows, pd.concat([rows[columns], _labels(path.parent / f"image_labels_{subset}.csv", reader)[columns]])


def _labels(path: Path, reader: list[str]) -> pd.DataFrame:
    """`image_id, rad_id, class_name`, a row a label that is set in a table of image labels."""
    import pandas as pd

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table of image labels; it goes with the annotations")
    header = read_header(path)
    classes = [name for name in header if name not in ("image_id", "rad_id")]
    table = read_table(path, ["image_id", *reader, *classes])
    for name in classes:
        wrong = table.index[~table[name].isin(["0", "1", "0.0", "1.0"])]
        if wrong.size:
            raise ValueError(f"{path}: line {wrong[0]}, column {name}: wanted 0 or 1, got {table.at[wrong[0], name]!r}")
    if not reader:
        table["rad_id"] = CONSENSUS
    long = pd.concat(
        [table.loc[table[name].isin(["1", "1.0"]), ["image_id", "rad_id"]].assign(class_name=name) for name in classes]
    )
    return long.reset_index(drop=True)


def read_header(path: Path) -> list[str]:
    """The names of a CSV's columns."""
    import csv

    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return [name.strip() for name in next(csv.reader(stream), []) if name.strip()]


def _drawn(rows: pd.DataFrame) -> list[Drawn]:
    corners = rows[["rad_id", *CORNERS]].itertuples(index=False)
    return [Drawn(reader, (left, top, right - left, bottom - top)) for reader, left, top, right, bottom in corners]


def _iou(one: Box, two: Box) -> float:
    wide = min(one[0] + one[2], two[0] + two[2]) - max(one[0], two[0])
    high = min(one[1] + one[3], two[1] + two[3]) - max(one[1], two[1])
    both = max(wide, 0.0) * max(high, 0.0)
    union = one[2] * one[3] + two[2] * two[3] - both
    return both / union if union > 0 else 0.0


def _mean(boxes: Sequence[Box]) -> Box:
    x, y, width, height = (sum(side) / len(boxes) for side in zip(*boxes, strict=True))
    return x, y, width, height
