"""A CSV of report texts."""

from pathlib import Path

from pneumonia.weak_labels.labels import Rejected
from pneumonia.weak_labels.reports import key, read


def test_findings_of_texts_worked_out_by_hand(tmp_path: Path):
    path = tmp_path / "reports.csv"
    path.write_text(
        "study,person,text\n"
        'a1,007,"FINDINGS: No effusion.\nCannot exclude pneumonia."\n'
        'a2,7,"Mass, left."\n'
        "a3,8,Tube in place.\n"
        "a4,,Mass.\n"
        "a5,9,Mass.\n"
        "a5,9,No mass.\n"
        'a2,7.0,"Mass, left."\n'
    )
    labels = read(path)
    assert labels.table[["image", "person"]].to_numpy().tolist() == [["a1", "7"], ["a2", "7"]]
    assert labels.table.loc[0, ["Effusion", "Pneumonia"]].tolist() == [0, -1]
    assert labels.table["Mass"].isna().tolist() == [True, False]
    assert labels.rejected == [
        Rejected("a4", "person_missing", "row 5"),
        Rejected("a5", "duplicate_label", "row 7: another text or person"),
        Rejected("a3", "nothing_found", "no finding is named in the text"),
    ]


def test_an_image_is_its_stem():
    assert key("2021/a17.png") == "a17"
