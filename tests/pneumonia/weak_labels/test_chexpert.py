"""CheXpert's label file."""

from pathlib import Path

import pytest

from pneumonia.weak_labels.chexpert import FINDINGS, key, read
from pneumonia.weak_labels.labels import Rejected

HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding," + ",".join(FINDINGS)


def file(folder: Path, *lines: str) -> Path:
    path = folder / "train.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def row(path: str, nothing: str, *states: str, view: str = "Frontal") -> str:
    return ",".join([path, "Female", "68", view, "AP", nothing, *states, *[""] * (len(FINDINGS) - len(states))])


def test_states_of_a_row_worked_out_by_hand(tmp_path: Path):
    base = "CheXpert-v1.0-small/train/patient00001"
    path = file(
        tmp_path,
        row(f"{base}/study1/view1_frontal.jpg", "", "", "1.0", "-1.0", "0.0", ""),
        row(f"{base}/study2/view1_frontal.jpg", "1.0"),
        row(f"{base}/study1/view2_lateral.jpg", "1.0", view="Lateral"),
        row("view1.jpg", "1.0"),
    )
    labels = read(path)
    assert labels.table["image"].tolist() == ["patient00001/study1/view1_frontal", "patient00001/study2/view1_frontal"]
    assert labels.table["person"].tolist() == ["patient00001"] * 2
    table = labels.table[list(FINDINGS)].astype(object).where(labels.table[list(FINDINGS)].notna(), None)
    assert table.iloc[0].tolist() == [None, 1, -1, 0, *[None] * 9]
    # Nothing was found: what is not mentioned is absent, but for the devices, of which that says nothing.
    assert table.iloc[1].tolist() == [*[0] * 12, None]
    assert labels.rejected == [
        Rejected("patient00001/study1/view2_lateral", "not_frontal", "Lateral"),
        Rejected("view1", "path_unclear", "row 5: wanted patient.../study.../view..."),
    ]


def test_a_state_that_is_none_is_refused(tmp_path: Path):
    path = file(tmp_path, row("train/patient1/study1/view1_frontal.jpg", "", "2.0"))
    with pytest.raises(
        ValueError, match=r"row 2, column Enlarged Cardiomediastinum: wanted 1, 0, -1 or blank, got '2\.0'"
    ):
        read(path)


def test_an_image_is_found_wherever_the_archive_puts_it():
    name = "patient00001/study1/view1_frontal"
    assert key(f"CheXpert-v1.0-small/train/{name}.jpg") == key(f"{name}.png") == name
