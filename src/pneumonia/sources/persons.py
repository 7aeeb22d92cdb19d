"""Which person a study is of: a CSV, or the mapping that the challenge's organizers published.

RSNA's `patientId`s are images of NIH ChestX-ray14, several of one person. The organizers' file
`pneumonia-challenge-dataset-mappings_2018.json` is a list of objects with, among others, `subset_img_id` (the
`patientId`) and `img_id` (the file in NIH ChestX-ray14, `00019124_092.png`: person 19124, image 92).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pneumonia.sources.labels import ID_COLUMNS, read_table

if TYPE_CHECKING:
    import pandas as pd

PERSON_COLUMNS = ("person", "nih_patient")


def read_mapping(path: str | Path) -> pd.DataFrame:
    """`study, person`, a row a study whose person is known, sorted by study.

    Arguments:
        path: a CSV with a column `patientId` (or `study`) and a column `person` (or `nih_patient`), or that JSON.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither, or gives one study two persons.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such persons file; set fetch.persons to a CSV or the challenge's NIH mapping JSON"
        )
    frame = _from_json(path) if path.suffix.lower() == ".json" else _from_csv(path)
    frame = frame[frame["person"] != ""].drop_duplicates()
    twice = frame.loc[frame["study"].duplicated(), "study"]
    if len(twice):
        raise ValueError(f"{path}: {twice.nunique()} studies have several persons, such as {twice.iloc[0]}")
    return frame.sort_values("study", ignore_index=True)


def _from_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        header = [name.strip().strip('"') for name in stream.readline().split(",")]
    study = next((name for name in ID_COLUMNS if name in header), ID_COLUMNS[0])
    person = next((name for name in PERSON_COLUMNS if name in header), PERSON_COLUMNS[0])
    table = read_table(path, [study, person])
    return pd.DataFrame({"study": table[study], "person": table[person]})


def _from_json(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        items = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(items, list):
        raise ValueError(f"{path}: wanted a list of objects with subset_img_id and img_id, got {type(items).__name__}")
    pairs = []
    for number, item in enumerate(items):
        study, image = (item.get("subset_img_id"), item.get("img_id")) if isinstance(item, dict) else (None, None)
        if not (isinstance(study, str) and study and isinstance(image, str) and "_" in image):
            raise ValueError(f"{path}: object {number} has no subset_img_id, or no img_id like 00019124_092.png")
        pairs.append((study, image.split("_")[0]))
    return pd.DataFrame(pairs, columns=["study", "person"])
