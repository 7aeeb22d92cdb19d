"""The labels in the formats other tools read, COCO JSON and YOLO text, for the original images: one archive.

    coco/<subset>.json                 images, annotations, categories (cocodataset.org, "Data format")
    yolo/<subset>/labels/<study>.txt   a line a box, "0 cx cy w h" as shares of the image; empty without boxes
    yolo/<subset>.txt                  the subset's images, one a line
    yolo/data.yaml                     lists and class names

Images are named `<study>.dcm`, as in data/raw/images.zip but without a folder. Image ids count from 1 over all studies
sorted by id, annotation ids from 1 over all boxes, so that they do not depend on the split.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pneumonia.files import write_atomic
from pneumonia.schema.data import SUBSETS
from pneumonia.schema.table import BOX

CATEGORY = "pneumonia"
SIZE_COLUMNS = ["study", "rows", "columns"]  # read of studies.csv


def coco(studies: pd.DataFrame, boxes: pd.DataFrame, chosen: Iterable[str]) -> dict[str, Any]:
    """A COCO dataset of the studies `chosen`.

    Args:
        studies: `study, rows, columns`, all studies (they decide the ids).
        boxes: `study, x, y, width, height`, all boxes, original pixels, top-left corner.
        chosen: ids of the studies to describe; ValueError where one is not in `studies`.
    """
    wanted = _known(studies, chosen)
    ordered = studies.sort_values("study", kind="stable").reset_index(drop=True)
    number = {study: index + 1 for index, study in enumerate(ordered["study"])}
    images = [
        {"id": number[study], "file_name": f"{study}.dcm", "width": int(columns), "height": int(rows)}
        for study, columns, rows in ordered[["study", "columns", "rows"]].itertuples(index=False)
        if study in wanted
    ]
    annotations = [
        {
            "id": index,
            "image_id": number[study],
            "category_id": 1,
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": 0,
            "segmentation": [_rectangle(x, y, width, height)],
        }
        for index, (study, x, y, width, height) in enumerate(_sorted_rows(boxes), 1)
        if study in wanted
    ]
    return {
        "info": {"description": "Chest radiographs with boxes around lung opacities, in pixels of the original image"},
        "licenses": [],
        "categories": [{"id": 1, "name": CATEGORY, "supercategory": "finding"}],
        "images": images,
        "annotations": annotations,
    }


def yolo(studies: pd.DataFrame, boxes: pd.DataFrame, chosen: Iterable[str]) -> dict[str, str]:
    """Label file of each study, "0 cx cy w h" a box: centre and size as shares of the image's width and height.

    A box of (256, 128, 512, 256) in a 1024 x 1024 image is "0 0.500000 0.250000 0.500000 0.250000".
    """
    wanted = _known(studies, chosen)
    lines: dict[str, list[str]] = {study: [] for study in sorted(wanted)}
    sizes = {study: (rows, columns) for study, rows, columns in studies[SIZE_COLUMNS].itertuples(index=False)}
    for study, x, y, width, height in _sorted_rows(boxes):
        if study in wanted:
            rows, columns = sizes[study]
            shares = ((x + width / 2) / columns, (y + height / 2) / rows, width / columns, height / rows)
            lines[study].append("0 " + " ".join(f"{share:.6f}" for share in shares))
    return {study: "".join(f"{line}\n" for line in found) for study, found in lines.items()}


def write_annotations(
    path: str | Path, studies: pd.DataFrame, boxes: pd.DataFrame, split: pd.DataFrame
) -> dict[str, int]:
    """Write the archive for the subsets of `split` (`study, subset`); same input, same bytes. Returns subset sizes."""
    members: dict[str, str] = {
        "yolo/data.yaml": "".join(f"{name}: {name}.txt\n" for name in SUBSETS) + f"names:\n  0: {CATEGORY}\n"
    }
    counts = {}
    for subset in SUBSETS:
        chosen = sorted(split.loc[split["subset"] == subset, "study"])
        members[f"coco/{subset}.json"] = json.dumps(coco(studies, boxes, chosen), sort_keys=True, separators=(",", ":"))
        members[f"yolo/{subset}.txt"] = "".join(f"./{subset}/images/{study}.dcm\n" for study in chosen)
        for study, text in yolo(studies, boxes, chosen).items():
            members[f"yolo/{subset}/labels/{study}.txt"] = text
        counts[subset] = len(chosen)
    with write_atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # a fixed date: same content, same bytes
            info.create_system, info.external_attr = 3, 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name])
    return counts


def _known(studies: pd.DataFrame, chosen: Iterable[str]) -> set[str]:
    wanted = set(chosen)
    unknown = sorted(wanted - set(studies["study"]))
    if unknown:
        raise ValueError(
            f"{len(unknown)} studies of the split were not cleaned, such as {unknown[:3]}; run split again"
        )
    return wanted


def _sorted_rows(boxes: pd.DataFrame) -> Iterator[tuple[str, float, float, float, float]]:
    for study, *box in boxes[["study", *BOX]].sort_values(["study", *BOX]).itertuples(index=False):
        x, y, width, height = (float(value) for value in box)
        yield study, x, y, width, height


def _rectangle(x: float, y: float, width: float, height: float) -> list[float]:
    """Corners of a box as a COCO polygon (x, y, x, y ...), clockwise from the top left."""
    return [x, y, x + width, y, x + width, y + height, x, y + height]
