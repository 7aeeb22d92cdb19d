"""COCO JSON: the labels as `pneumonia.data.annotate` writes them, a model's boxes as a second category `suggested` with a
score. An image that stands in the file without a box has none now; what is still `suggested` counts for nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pneumonia.annotation.marks import SUGGESTED, TRUTH, Box, Reviewed, Sent, Sizes, known, put
from pneumonia.data.annotate import coco
from pneumonia.schema.table import BOX

NAME = "coco.json"


def write(folder: Path, studies: Iterable[Sent], images: str, model: str) -> None:
    """Write the annotations into `folder`.

    Arguments:
        studies: what to describe.
        images: what the name of a picture starts with.
        model: what made the suggestions, in words.
    """
    studies = list(studies)
    sizes = pd.DataFrame([(s.study, s.rows, s.columns) for s in studies], columns=["study", "rows", "columns"])
    boxes = pd.DataFrame([(s.study, *box) for s in studies for box in s.truths], columns=["study", *BOX])
    data = coco(sizes, boxes, [s.study for s in studies])
    numbers = {}
    for image in data["images"]:
        image["file_name"] = f"{images}{Path(image['file_name']).stem}.png"
        numbers[Path(image["file_name"]).stem] = image["id"]
    data["categories"].append({"id": 2, "name": SUGGESTED, "supercategory": model})
    first = len(data["annotations"])
    suggested = [(s.study, box, score) for s in studies for box, score in s.suggested]
    for number, (study, (x, y, width, height), score) in enumerate(suggested, first + 1):
        own = {"id": number, "image_id": numbers[study], "category_id": 2, "bbox": [x, y, width, height]}
        data["annotations"].append(own | {"area": width * height, "iscrowd": 0, "segmentation": [], "score": score})
    (folder / NAME).write_text(json.dumps(data, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def read(path: Path, sizes: Sizes) -> Reviewed:
    """The boxes of an export.

    Raises:
        ValueError: it is none, or has what is no upright box of an opacity; it names the annotation.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        images = {item["id"]: item for item in data["images"]}
        names = {item["id"]: item["name"] for item in data["categories"]}
        items = list(data["annotations"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no COCO JSON of images, categories and annotations ({error})") from error
    reviewed = Reviewed()
    studies = {}
    for key, item in images.items():
        where = f"{path}: image {key}"
        study = studies[key] = Path(str(item.get("file_name", ""))).stem
        rows, columns = known(study, sizes, where)
        if (item.get("height"), item.get("width")) != (rows, columns):
            said = f"{item.get('width')} x {item.get('height')}"
            raise ValueError(f"{where} has {said} pixels, ours has {columns} x {rows}: another image")
        put(reviewed, study, [], where)
    if len(images) != len(data["images"]):
        raise ValueError(f"{path}: an image id comes twice")
    left = 0
    for item in items:
        where = f"{path}: annotation {item.get('id')}"
        own, name = studies.get(item.get("image_id")), names.get(item.get("category_id"))
        if own is None or name not in (TRUTH, SUGGESTED):
            raise ValueError(
                f"{where}: of image {item.get('image_id')}, labelled {name!r}; wanted {TRUTH} or {SUGGESTED}"
            )
        if name == SUGGESTED:
            left += 1
        else:
            reviewed.boxes[own].append(_box(item, where))
    if left:
        reviewed.notes.append(f"{left} boxes are still labelled {SUGGESTED} and count for nothing")
    return reviewed


def _box(item: dict[str, object], where: str) -> Box:
    box, outline = item.get("bbox"), item.get("segmentation") or []
    if not isinstance(box, list) or len(box) != 4 or not all(type(v) in (int, float) and math.isfinite(v) for v in box):
        raise ValueError(f"{where}: bbox: wanted 4 numbers, got {box!r}")
    if isinstance(outline, list):
        x, y, width, height = map(float, box)
        edges = ({x, x + width}, {y, y + height})
        for part in outline:
            if len(part) != 8 or any(min(abs(v - e) for e in edges[i % 2]) > 0.02 for i, v in enumerate(part)):
                raise ValueError(f"{where}: its outline is no upright box: redraw it as a box")
    if item.get("iscrowd") or not isinstance(outline, list):
        raise ValueError(f"{where}: a mask or crowd is no box: redraw it as a box")
    return x, y, width, height
