"""YOLO text (docs.ultralytics.com/datasets/detect): `data.yaml`, and a text file an image, `class cx cy w h` a line, as shares
of the image's width and height.

In either order of the folders, `images/train/a.png` with `labels/train/a.txt` or `train/images/a.png` with
`train/labels/a.txt`. Its subsets are read together: stage split makes our own. An image without text file has no object.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pneumonia.archive import files_below
from pneumonia.sources.foreign import files
from pneumonia.sources.foreign.marked import (
    NOT_NORMAL,
    UNMARKED,
    Box,
    Marked,
    Options,
    below,
    lines,
    only,
    opacities,
    some,
)

SUBSETS = ("train", "val", "test")
Mark = tuple[str, Box]  # class, shares of the image


def read(source: Path, options: Options) -> Marked:
    """The set in the folder `source`.

    Raises:
        FileNotFoundError, ValueError: see `pneumonia.sources.foreign.fetch`.
    """
    found = [path for path in files_below(source) if path.suffix in (".yaml", ".yml") and not path.name.startswith(".")]
    chosen = options.annotations
    path = (
        below(source, chosen, "data.yaml")
        if chosen
        else only(found, "data.yaml (name it in fetch.foreign.annotations)", source)
    )
    data = _load(path)
    names = _names(data, path)
    wanted = opacities(names.values(), options.opacity, path)
    images = files.by_study(_listed(data, path, source), source)
    texts = {study: _text_of(image, source) for study, image in images.items()}
    marked = Marked(images)
    marked.notes.append("its own subsets are read together; stage split makes others")
    if missing := sum(not text.is_file() for text in texts.values()):
        marked.notes.append(f"{missing} images have no text file, and so no object")
    for study, text in sorted((texts | _orphans(images, texts, source)).items()):
        marks = list(_marks(text, names)) if text.is_file() else []
        shares = [box for name, box in marks if name in wanted]
        if not shares:
            marked.negative[study] = NOT_NORMAL if marks else UNMARKED
            continue
        size = files.size(images[study]) if study in images else None
        marked.boxes[study] = [_pixels(box, *size) for box in shares] if size else []
    return marked


def _load(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(data, dict) or not any(data.get(name) for name in SUBSETS):
        raise ValueError(f"{path}: wanted names, and train, val or test")
    return data


def _names(data: dict[str, Any], path: Path) -> dict[int, str]:
    """Class number -> name."""
    names = data.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(type(key) is int for key in names):
        raise ValueError(f"{path}: names: wanted a list of class names, or numbers with names, got {names!r}")
    found = {key: str(name) for key, name in names.items()}
    if len(set(found.values())) != len(found):
        raise ValueError(f"{path}: names: two classes have one name: {', '.join(found.values())}")
    if "nc" in data and data["nc"] != len(found):
        raise ValueError(f"{path}: nc is {data['nc']}, but there are {len(found)} names")
    return found


def _listed(data: dict[str, Any], path: Path, source: Path) -> list[Path]:
    """The images of all subsets, each once."""
    found: dict[Path, None] = {}
    for subset in SUBSETS:
        entries = data.get(subset) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            place = _place(str(entry), str(data.get("path") or ""), path, source)
            listed = files.images(place) if place.is_dir() else _of_list(place, source.resolve())
            found |= dict.fromkeys(listed)
    root = source.resolve()
    return [source / each.relative_to(root) for each in found]


def _place(entry: str, root: str, path: Path, source: Path) -> Path:
    """Where an entry of data.yaml leads: from its `path`, else from its own folder, as tools that write it differ."""
    candidates = [
        base / name
        for name in (entry, re.sub(r"^(\.\./)+", "", entry))
        for base in (path.parent / root, source / root, path.parent, source)
    ]
    inside = [each for each in candidates if each.exists() and each.resolve().is_relative_to(source.resolve())]
    places = list(dict.fromkeys(each.resolve() for each in inside))
    if len(places) != 1:
        what = f"may be {some(map(str, places))}" if places else f"leads to nothing in {source}"
        raise ValueError(f"{path}: {entry!r} {what}; write it from the folder of this file")
    return places[0]


def _of_list(path: Path, source: Path) -> list[Path]:
    """The images that a text file lists, one a line."""
    found = []
    for number, line in lines(path):
        places = [Path(os.path.normpath(base / line)) for base in (path.parent, source)]
        places = [each for each in places if each.is_file() and each.is_relative_to(source)]
        if not places:
            raise ValueError(f"{path}: line {number}: {line!r} is no file in {source}")
        found.append(places[0])
    return found


def _text_of(image: Path, source: Path) -> Path:
    """The text file of an image: `labels` for the last folder `images` in its path, or beside it without one."""
    parts = list(image.relative_to(source).parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return source.joinpath(*parts).with_suffix(".txt")


def _orphans(images: dict[str, Path], texts: dict[str, Path], source: Path) -> dict[str, Path]:
    """Study -> text file, of text files in the folders of labels that no image belongs to."""
    folders = {text.parent for text in texts.values() if "labels" in text.relative_to(source).parts}
    found = {text.stem: text for folder in sorted(folders) if folder.is_dir() for text in sorted(folder.glob("*.txt"))}
    unlisted = {path.stem for path in files_below(source) if files.is_image(path)}
    return {study: text for study, text in found.items() if study not in images and study not in unlisted}


def _marks(path: Path, names: dict[int, str]) -> Iterator[Mark]:
    for number, line in lines(path):
        where, values = f"{path}: line {number}", line.split()
        if len(values) != 5:
            what = "; a polygon or a turned box is no box" if len(values) > 6 else ""
            raise ValueError(f"{where}: wanted 5 values (class cx cy w h), got {len(values)}{what}")
        if not values[0].isdecimal() or int(values[0]) not in names:
            raise ValueError(f"{where}: class {values[0]!r} is none of {', '.join(map(str, names))}")
        try:
            cx, cy, width, height = map(float, values[1:])
        except ValueError:
            raise ValueError(f"{where}: wanted numbers, got {line!r}") from None
        if not all(0 <= share <= 1 for share in (cx, cy, width, height)):
            raise ValueError(f"{where}: wanted shares of the image from 0 to 1, got {line!r}")
        yield names[int(values[0])], (cx, cy, width, height)


def _pixels(shares: Box, rows: int, columns: int) -> Box:
    cx, cy, width, height = shares
    return (cx - width / 2) * columns, (cy - height / 2) * rows, width * columns, height * rows
