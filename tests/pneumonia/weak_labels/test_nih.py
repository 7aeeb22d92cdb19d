"""NIH's label files, the newer and the older form."""

from pathlib import Path

import pytest
from tests.places import SHARED
from tests.pneumonia.weak_labels.nih_like import NEW, OLD

from pneumonia.weak_labels.labels import Rejected
from pneumonia.weak_labels.nih import FINDINGS, key, read


def file(folder: Path, header: str, *lines: str) -> Path:
    path = folder / "Data_Entry.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.mark.parametrize(("header", "end"), [(NEW, "2682,2749,0.143,0.143"), (OLD, "2682,2749,0.143,0.143,")])
def test_both_forms_of_the_label_file(tmp_path: Path, header: str, end: str):
    path = file(
        tmp_path, header,
        f"00000001_001.png,Cardiomegaly|Pleural_Thickening,1,1,58,M,PA,{end}",
        f"00000001_000.png,No Finding,0,00001,058Y,M,PA,{end}",
    )  # fmt: skip
    labels = read(path)
    assert labels.table["image"].tolist() == ["00000001_000", "00000001_001"]
    assert labels.table["person"].tolist() == ["1", "1"]
    assert labels.table[list(FINDINGS)].sum(axis=1).tolist() == [0, 2]
    assert labels.table.loc[1, ["Cardiomegaly", "Pleural_Thickening", "Hernia"]].tolist() == [1, 1, 0]
    assert labels.rejected == []


def test_rows_that_say_two_things_are_listed(tmp_path: Path):
    path = file(
        tmp_path, NEW,
        "00000001_000.png,Mass,0,2,58,M,PA,1,1,1,1", "00000003_000.png,No Finding|Mass,0,3,58,M,PA,1,1,1,1",
        "00000004_000.png,,0,4,58,M,PA,1,1,1,1", "00000005_000.png,Mass,0,5,58,M,PA,1,1,1,1",
        "00000005_000.png,Nodule,0,5,58,M,PA,1,1,1,1", "b7.png,Mass,0,,58,M,PA,1,1,1,1",
    )  # fmt: skip
    labels = read(path)
    assert labels.table["image"].tolist() == ["00000005_000"]
    assert labels.rejected == [
        Rejected("00000001_000", "person_disagrees", "row 2 has another Patient ID"),
        Rejected("00000003_000", "label_unclear", "row 3"),
        Rejected("00000004_000", "label_unclear", "row 4"),
        Rejected("00000005_000", "duplicate_label", "row 6"),
        Rejected("b7", "label_unclear", "row 7"),
    ]


def test_a_finding_that_is_none_of_the_fourteen_is_refused(tmp_path: Path):
    path = file(tmp_path, NEW, "00000001_000.png,Mass|Covid,0,1,58,M,PA,1,1,1,1")
    with pytest.raises(ValueError, match=r"row 2 has the finding 'Covid', wanted Atelectasis, "):
        read(path)


def test_an_image_is_its_stem():
    assert key("images_001/images/00000001_000.png") == "00000001_000"


def test_the_real_label_file():
    path = SHARED / "pretrain" / "Data_Entry_2017_v2020.csv"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    labels = read(path)
    assert (len(labels.table), labels.rejected) == (10162, [])
    # Counted by grep -c.
    assert labels.table[["Pneumonia", "Hernia"]].sum().astype(int).tolist() == [281, 19]
