"""COCO JSON, object detection (cocodataset.org, "Data format"): `images`, `annotations`, `categories`; `bbox` is x, y, width,
height in pixels from the top left corner.

An image's file is looked for by its `file_name` below the images folder, then by its bare name where that is there once;
ids only join annotations to images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pneumonia.archive import files_below
from pneumonia.sources.foreign import files
from pneumonia.sources.foreign.marked import (
    NOT_NORMAL,
    UNMARKED,
    Box,
    Marked,
    Options,
    below,
    only,
    opacities,
    repeated,
    some,
)


def read(source: Path, options: Options) -> Marked:
    """The set in the folder `source`.

    Raises:
        FileNotFoundError, ValueError: see `pneumonia.sources.foreign.fetch`.
    """
    found = [path for path in files_below(source) if path.suffix.lower() == ".json" and not path.name.startswith(".")]
    chosen = options.annotations
    path = (
        below(source, chosen, "annotations file")
        if chosen
        else only(found, "JSON (name it in fetch.foreign.annotations)", source)
    )
    data = _load(path)
    images = _by_id(data, "images", path)
    categories = {key: str(item.get("name", "")) for key, item in _by_id(data, "categories", path).items()}
    if twice := repeated(categories.values()):
        raise ValueError(f"{path}: several categories are named {some(twice)}; give each a name of its own")
    wanted = opacities(categories.values(), options.opacity, path)

    folder = below(source, options.images, "folder of images") if options.images else source
    studies = {key: PurePosixPath(_file_name(image, path)).stem for key, image in images.items()}
    if twice := repeated(studies.values()):
        raise ValueError(
            f"{path}: {len(twice)} file names come more than once: {some(twice)}; a study is named by its file"
        )
    marked = Marked(_files(folder, images, studies, path))
    _check_sizes(marked.images, images, studies, path)
    marked.negative = dict.fromkeys(studies.values(), UNMARKED)
    for number, item in enumerate(data["annotations"]):
        where = (
            f"{path}: annotation {item.get('id', f'number {number}') if isinstance(item, dict) else f'number {number}'}"
        )
        study, category, box = _annotation(item, where, studies, categories)
        if category in wanted:
            marked.boxes.setdefault(study, []).append(box)
            marked.negative.pop(study, None)
        elif study in marked.negative:
            marked.negative[study] = NOT_NORMAL
    if twice := repeated(str(item.get("id")) for item in data["annotations"] if "id" in item):
        raise ValueError(f"{path}: {len(twice)} annotation ids come more than once: {some(twice)}")
    return marked


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    for part in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(part), list):
            raise ValueError(f"{path}: no list {part!r}; wanted COCO's images, annotations and categories")
    return data


def _by_id(data: Mapping[str, Any], part: str, path: Path) -> dict[int, dict[str, Any]]:
    for number, item in enumerate(data[part]):
        if not isinstance(item, dict) or type(item.get("id")) is not int:
            raise ValueError(f"{path}: {part}, number {number}: wanted an object with a whole number as id")
    if twice := repeated(str(item["id"]) for item in data[part]):
        raise ValueError(f"{path}: {part}: {len(twice)} ids come more than once: {some(twice)}")
    return {item["id"]: item for item in data[part]}


def _file_name(image: Mapping[str, Any], path: Path) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not PurePosixPath(name).stem:
        raise ValueError(f"{path}: image {image['id']} has no file_name")
    return name


def _files(
    folder: Path, images: Mapping[int, Mapping[str, Any]], studies: Mapping[int, str], path: Path
) -> dict[str, Path]:
    """Study -> file, of those that are there, and of the images that the JSON does not name."""
    there = files.images(folder)
    by_path = {each.relative_to(folder).as_posix(): each for each in there}
    by_name: dict[str, list[Path]] = {}
    for each in there:
        by_name.setdefault(each.name, []).append(each)
    found = {}
    for key, image in images.items():
        name = image["file_name"]
        same = by_name.get(PurePosixPath(name).name, [])
        exact = by_path.get(PurePosixPath(name).as_posix())
        if exact is None and len(same) > 1:
            raise ValueError(
                f"{path}: image {key}: {name} may be {some(each.relative_to(folder).as_posix() for each in same)}; "
                "write the path from the images folder"
            )
        if exact or same:
            found[studies[key]] = exact or same[0]
    rest = [each for each in there if each not in {*found.values()} and each.stem not in found]
    return found | files.by_study(rest, folder)


def _check_sizes(
    found: Mapping[str, Path], images: Mapping[int, Mapping[str, Any]], studies: Mapping[int, str], path: Path
) -> None:
    """Refuse images of another size than the JSON says: its boxes are in pixels of some other image."""
    wrong = []
    for key, image in images.items():
        said = (image.get("height"), image.get("width"))
        size = files.size(found[studies[key]]) if studies[key] in found else None
        if size and None not in said and size != said:
            wrong.append(f"{studies[key]} (said {said[0]} x {said[1]}, is {size[0]} x {size[1]})")
    if wrong:
        raise ValueError(f"{path}: {len(wrong)} images have another height and width than it says: {some(wrong)}")


def _annotation(
    item: Any, where: str, studies: Mapping[int, str], categories: Mapping[int, str]
) -> tuple[str, str, Box]:
    """Study, category and box of an annotation."""
    if not isinstance(item, dict):
        raise ValueError(f"{where}: wanted an object, got {type(item).__name__}")
    for key, known in (("image_id", studies), ("category_id", categories)):
        value = item.get(key)
        if type(value) is not int or value not in known:
            raise ValueError(f"{where}: {key} {value!r} is none of the {len(known)} ids that there are")
    if item.get("iscrowd"):
        raise ValueError(
            f"{where} is a crowd (iscrowd {item['iscrowd']}), not the box of one finding; mend or remove it"
        )
    box = item.get("bbox")
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(type(side) in (int, float) and math.isfinite(side) for side in box)
    ):
        raise ValueError(f"{where}: bbox: wanted 4 numbers (x, y, width, height), got {box!r}")
    x, y, width, height = map(float, box)
    return studies[item["image_id"]], categories[item["category_id"]], (x, y, width, height)
