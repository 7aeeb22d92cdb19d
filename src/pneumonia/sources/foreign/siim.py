"""SIIM-FISABIO-RSNA COVID-19 (kaggle.com/c/siim-covid19-detection): `train/<study>/<series>/<image>.dcm`;
`train_image_level.csv` (`id,boxes,label,StudyInstanceUID`: `<image>_image`, a list of boxes with x, y, width and height, and the
same as `opacity 1 left top right bottom ...` or `none 1 0 0 1 1`); `train_study_level.csv` (`<study>_study` and a 0/1 column an
appearance).

An image is a study here. A study's appearance is of all its images: one without box in a study with an appearance is
positive without boxes, which clean leaves out.
"""

from __future__ import annotations

import ast
import math
from pathlib import Path

from pneumonia.sources.foreign import files
from pneumonia.sources.foreign.marked import UNMARKED, Box, Facts, Marked, Options, below, repeated, some
from pneumonia.sources.labels import read_table

IMAGES, STUDIES = "train_image_level.csv", "train_study_level.csv"
APPEARANCES = ("Negative for Pneumonia", "Typical Appearance", "Indeterminate Appearance", "Atypical Appearance")
_SLACK = 0.01  # pixels, between the two ways in which a box is written


def read(source: Path, options: Options) -> Marked:
    """The set in the folder `source`.

    Raises:
        FileNotFoundError, ValueError: see `pneumonia.sources.foreign.fetch`.
    """
    if options.opacity:
        raise ValueError(f"{source}: its one class is opacity; clear fetch.foreign.opacity")
    folder = below(source, options.images or "train", "folder of images")
    marked = Marked(files.by_study(files.images(folder), source))
    negative = _negative(below(source, STUDIES, "table"))
    path = below(source, IMAGES, "table")
    table = read_table(path, ["id", "boxes", "label", "StudyInstanceUID"])
    if twice := repeated(table["id"]):
        raise ValueError(f"{path}: {len(twice)} images come more than once: {some(twice)}")
    for line, name, boxes, label, uid in table.itertuples():
        where = f"{path}: line {line}"
        if not name.endswith("_image"):
            raise ValueError(f"{where}, column id: wanted <image>_image, got {name!r}")
        if uid not in negative:
            raise ValueError(f"{where}, column StudyInstanceUID: {uid!r} is not in {STUDIES}")
        study, found = name.removesuffix("_image"), _boxes(boxes, label, where)
        if found and negative[uid]:
            raise ValueError(f"{where}: it has boxes, but its study is {APPEARANCES[0]}")
        if negative[uid]:
            marked.negative[study] = UNMARKED
        else:
            marked.boxes[study] = found
    of_study = table.groupby("StudyInstanceUID")["id"].transform("size")
    for name, uid in table.loc[of_study > 1, ["id", "StudyInstanceUID"]].itertuples(index=False):
        marked.facts[name.removesuffix("_image")] = Facts(person=uid)
    marked.notes.append(
        f"images of one study are of one person ({len(marked.facts)} images); that several studies are is not said"
    )
    return marked


def _negative(path: Path) -> dict[str, bool]:
    """Study -> whether it is negative for pneumonia."""
    table = read_table(path, ["id", *APPEARANCES])
    if twice := repeated(table["id"]):
        raise ValueError(f"{path}: {len(twice)} studies come more than once: {some(twice)}")
    found = {}
    for line, name, *values in table.itertuples():
        if not name.endswith("_study") or sorted(values) != ["0", "0", "0", "1"]:
            raise ValueError(
                f"{path}: line {line}: wanted <study>_study and one appearance of 1, got {name!r}, {values}"
            )
        found[name.removesuffix("_study")] = values[0] == "1"
    return found


def _boxes(text: str, label: str, where: str) -> list[Box]:
    """The boxes of a row, which it has twice."""
    try:
        items = ast.literal_eval(text) if text else []
        listed = [(float(each["x"]), float(each["y"]), float(each["width"]), float(each["height"])) for each in items]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError(f"{where}, column boxes: wanted a list of x, y, width, height, got {text[:80]!r}") from error
    words = label.split()
    parts = [words[start : start + 6] for start in range(0, len(words), 6)]
    if not parts or any(len(part) != 6 or part[0] not in ("opacity", "none") for part in parts):
        raise ValueError(f"{where}, column label: wanted opacity or none, and 5 numbers, got {label[:80]!r}")
    try:
        corners = [[float(value) for value in part[2:]] for part in parts if part[0] == "opacity"]
    except ValueError:
        raise ValueError(f"{where}, column label: wanted numbers, got {label[:80]!r}") from None
    same = len(corners) == len(listed) and all(
        math.isclose(one, other, abs_tol=_SLACK)
        for (x, y, width, height), right in zip(listed, corners, strict=True)
        for one, other in zip((x, y, x + width, y + height), right, strict=True)
    )
    if not same:
        raise ValueError(f"{where}: columns boxes and label do not have the same boxes")
    return listed
