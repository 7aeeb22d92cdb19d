"""Studies to a tool: its file, and the pictures in original size that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from keraskit.boxes.arrays import xywh_to_xyxy
from pneumonia.annotation import coco, cvat, label_studio
from pneumonia.annotation.corrected import boxes_by_study
from pneumonia.annotation.marks import MOST_NAMES, Sent
from pneumonia.archive import Studies
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.pictures import Image, overlay, png
from pneumonia.schema.table import BOX

TOOLS: dict[str, ModuleType] = {"label_studio": label_studio, "cvat": cvat, "coco": coco}
PICTURES = "images"
COMPRESSION = 1  # of PNG: a large radiograph takes 0.1 s, and a second at the highest


def gather(
    studies: pd.DataFrame, boxes: pd.DataFrame, detections: pd.DataFrame, chosen: Sequence[str], *, threshold: float
) -> list[Sent]:
    """The studies `chosen`, in that order.

    Arguments:
        studies: study, rows, columns.
        boxes: study, x, y, width, height; the labels.
        detections: the same and score; those that reach `threshold` are suggested, the best first.

    Raises:
        ValueError: a study is unknown.
    """
    sizes = {
        study: (int(rows), int(columns))
        for study, rows, columns in studies[["study", "rows", "columns"]].itertuples(index=False)
    }
    if unknown := sorted({*chosen} - {*sizes}):
        raise ValueError(f"{len(unknown)} studies are not in data/clean: {', '.join(unknown[:MOST_NAMES])}")
    truths = boxes_by_study(boxes)
    counting = detections[detections["score"] >= threshold].sort_values("score", ascending=False, kind="stable")
    guesses = {
        str(study): tuple(((x, y, w, h), score) for x, y, w, h, score in own[[*BOX, "score"]].itertuples(index=False))
        for study, own in counting.groupby("study")
    }
    return [Sent(study, *sizes[study], tuple(truths.get(study, ())), guesses.get(study, ())) for study in chosen]


def picture(archive: Studies, study: str, window: Mapping[str, Any]) -> Image:
    """A study as the models get it, in original size: uint8 `[rows, columns]`."""
    return study_to_uint8(archive.read(study), **window, study=study).image


def overlaid(
    archive: Studies, study: str, boxes: pd.DataFrame, detections: pd.DataFrame, window: Mapping[str, Any]
) -> bytes:
    """A PNG of a study with its labelled boxes in green and detections in red, as `pneumonia.pictures.overlay` draws them."""
    truths, found = boxes[boxes["study"] == study], detections[detections["study"] == study]
    corners = xywh_to_xyxy(found[BOX].to_numpy(np.float64))
    scored = np.column_stack([corners, found["score"].to_numpy(np.float64)])
    image = picture(archive, study, window)
    return png(overlay(image, xywh_to_xyxy(truths[BOX].to_numpy(np.float64)), scored), COMPRESSION)


def write(
    tool: str,
    folder: Path,
    sent: Sequence[Sent],
    archive: Studies,
    *,
    window: Mapping[str, Any],
    images: str,
    model: str,
) -> None:
    """Write the tool's file and `images/<study>.png` into `folder`; see the tool's module for `images` and `model`."""
    TOOLS[tool].write(folder, sent, images, model)
    (folder / PICTURES).mkdir()
    for each in sent:
        (folder / PICTURES / each.image).write_bytes(png(picture(archive, each.study, window), COMPRESSION))
