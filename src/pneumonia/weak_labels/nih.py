"""NIH ChestX-ray14 as published: `Data_Entry_2017_v2020.csv`, or the older `Data_Entry_2017.csv`, and images by name.

112,120 frontal radiographs of 30,805 persons, with findings mined from their reports by text processing (Wang et al. 2017,
"ChestX-ray8"). A finding that a row does not name is taken for absent, as NIH takes it.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pneumonia.weak_labels.labels import NEGATIVE, POSITIVE, Labels, Rejected, person_key, rows, table

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia", "Infiltration", "Mass",
    "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
NOTHING = "No Finding"
_NAME = re.compile(r"(\d{8})_\d{3}")


def read(path: str | Path) -> Labels:
    """The rows of a label file; an image is its file's stem, `00019124_092`, whatever its format.

    A row whose person is not that of its name, that stands there twice, or that names no finding is rejected.

    Raises:
        ValueError: the file lacks a column, or names a finding that is none of the 14.
    """
    found: dict[str, tuple[str, str, dict[str, float]]] = {}
    rejected: list[Rejected] = []
    for number, row in enumerate(rows(path, ("Image Index", "Finding Labels", "Patient ID")), start=2):
        image, person = key(row["Image Index"]), person_key(row["Patient ID"])
        named = {name.strip() for name in row["Finding Labels"].split("|")}
        unknown = named - {*FINDINGS, NOTHING, ""}
        if unknown:
            raise ValueError(f"{path}: row {number} has the finding {min(unknown)!r}, wanted {', '.join(FINDINGS)}")
        own = _NAME.fullmatch(image)
        if own and person_key(own[1]) != person:
            rejected.append(Rejected(image, "person_disagrees", f"row {number} has another Patient ID"))
        elif not person or not named - {""} or (NOTHING in named and len(named) > 1):
            rejected.append(Rejected(image, "label_unclear", f"row {number}"))
        elif image in found:
            rejected.append(Rejected(image, "duplicate_label", f"row {number}"))
        else:
            states = {finding: POSITIVE if finding in named else NEGATIVE for finding in FINDINGS}
            found[image] = (image, person, states)
    return Labels(table(list(found.values()), FINDINGS), FINDINGS, rejected, key)


def key(name: str) -> str:
    """`images_001/images/00000001_000.png` -> `00000001_000`."""
    return PurePosixPath(name).stem
