"""CheXpert as published: `train.csv` (or `valid.csv`) and the folders that its paths name.

224,316 radiographs of Stanford; a finding is 1, 0, -1 (uncertain) or blank (not mentioned), from reports by a rule-based
labeller (Irvin et al. 2019, "CheXpert"). Lateral images are left out: the challenge has none.
"""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath

from pneumonia.weak_labels.labels import NEGATIVE, POSITIVE, UNCERTAIN, Labels, Rejected, person_key, rows, table

NOTHING = "No Finding"
OTHER = "Support Devices"  # no finding of the lungs: "No Finding" says nothing of it
FINDINGS = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis",
    "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", OTHER,
)  # fmt: skip
_STATES = {"1": POSITIVE, "0": NEGATIVE, "-1": UNCERTAIN, "": math.nan}
_PATH = re.compile(r"(?:^|/)(patient\w+)/(study\w+)/([^/]+)$")


def read(path: str | Path) -> Labels:
    """The rows of a label file; an image is `patient00001/study1/view1_frontal`, whatever stands before it.

    Where "No Finding" is 1, findings that are not mentioned are absent.

    Raises:
        ValueError: the file lacks a column, or a state is none of 1, 0, -1 and blank.
    """
    found: dict[str, tuple[str, str, dict[str, float]]] = {}
    rejected: list[Rejected] = []
    for number, row in enumerate(rows(path, ("Path", "Frontal/Lateral", NOTHING, *FINDINGS)), start=2):
        image = key(row["Path"])
        states = {name: _state(row[name], path, number, name) for name in (NOTHING, *FINDINGS)}
        if states.pop(NOTHING) == POSITIVE:
            states = {n: NEGATIVE if math.isnan(s) and n != OTHER else s for n, s in states.items()}
        match = _PATH.search("/" + image)
        if match is None:
            rejected.append(Rejected(image, "path_unclear", f"row {number}: wanted patient.../study.../view..."))
        elif row["Frontal/Lateral"] != "Frontal":
            rejected.append(Rejected(image, "not_frontal", row["Frontal/Lateral"]))
        elif image in found:
            rejected.append(Rejected(image, "duplicate_label", f"row {number}"))
        else:
            found[image] = (image, person_key(match[1]), states)
    return Labels(table(list(found.values()), FINDINGS), FINDINGS, rejected, key)


def key(name: str) -> str:
    """`CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg` -> `patient00001/study1/view1_frontal`."""
    path = PurePosixPath(name)
    return "/".join([*path.parts[-3:-1], path.stem])


def _state(text: str, path: str | Path, number: int, column: str) -> float:
    try:
        return _STATES[text.removesuffix(".0")]
    except KeyError:
        raise ValueError(f"{path}: row {number}, column {column}: wanted 1, 0, -1 or blank, got {text!r}") from None
