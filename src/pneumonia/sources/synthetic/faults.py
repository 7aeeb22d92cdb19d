"""Broken studies, one of a kind, as archives from the wild have them. The clean stage must find each of them.

Files are broken by `break_file`, label rows by `break_labels`. Two kinds can be mended: a box that crosses the border,
and duplicate rows.
"""

from __future__ import annotations

import io

import numpy as np
import pydicom

from pneumonia.sources.synthetic.cohort import Case
from pneumonia.sources.synthetic.dicom_writer import encode_study, to_bytes
from pneumonia.sources.synthetic.phantom import Category

# Kind -> category of the study that is broken.
FAULTS: dict[str, Category] = {
    "truncated": "normal",
    "constant_pixels": "not_normal",
    "no_pixels": "normal",
    "wrong_modality": "not_normal",
    "no_image": "normal",
    "no_labels": "not_normal",
    "positive_without_box": "opacity",
    "negative_with_box": "not_normal",
    "box_outside_image": "opacity",
    "class_disagrees": "opacity",
    "two_classes": "not_normal",
    "box_crosses_border": "opacity",
    "duplicate_rows": "opacity",
}
MENDABLE = ("box_crosses_border", "duplicate_rows")

Row = tuple[float, float, float, float] | None  # x, y, width, height of a label row; None for empty coordinates


def break_file(fault: str, case: Case, pixels: np.ndarray) -> bytes | None:
    """The study's file with what is wrong with it; None where it is missing from the archive."""
    if fault == "no_image":
        return None
    if fault == "constant_pixels":
        return encode_study(case, np.full_like(pixels, 128), "jpeg")
    if fault == "wrong_modality":
        return encode_study(case, pixels, "jpeg", modality="MG")
    data = encode_study(case, pixels, "jpeg")
    if fault == "truncated":
        return data[: len(data) // 2]
    if fault == "no_pixels":
        dataset = pydicom.dcmread(io.BytesIO(data))
        del dataset.PixelData
        return to_bytes(dataset)  # type: ignore[arg-type]
    return data


def break_labels(fault: str, rows: list[Row], target: int, label: str, size: int) -> tuple[list[Row], int, list[str]]:
    """Label rows, target and classes (one a row) of a study, with what is wrong with them; no rows: unlabelled.

    Arguments:
        rows, target, label: as they would rightly be.
        size: of the image, pixels.
    """
    if fault == "no_labels":
        rows = []
    elif fault == "positive_without_box":
        rows = [None]
    elif fault == "negative_with_box":
        rows = [(0.3 * size, 0.3 * size, 0.2 * size, 0.2 * size)]
    elif fault == "box_outside_image":
        rows = [(1.1 * size, 0.4 * size, 0.2 * size, 0.3 * size), *rows[1:]]
    elif fault == "box_crosses_border":
        rows = [(0.75 * size, 0.4 * size, 0.3 * size, 0.3 * size), *rows[1:]]
    elif fault == "duplicate_rows":
        rows = [*rows, *rows]
    elif fault == "class_disagrees":
        label = "Normal"
    elif fault == "two_classes":
        return [*rows, *rows], target, [label, "Normal"]
    return rows, target, [label] * len(rows)
