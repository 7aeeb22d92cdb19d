"""Nobody who is evaluated is learned from before."""

from pathlib import Path

import pandas as pd
import pytest
from tests.places import SHARED

from pneumonia.weak_labels.persons import Evaluated, evaluated, overlap, refuse_unknown, without

SPLIT = pd.DataFrame(
    {
        "study": ["s1", "s2", "s3", "s4"],
        "person": ["s1", "00019124", "s3", "77"],
        "subset": ["train", "validation", "holdout", "train"],
    }
)


def mapping(folder: Path, *lines: str, person: str = "nih_patient") -> Path:
    path = folder / "mapping.csv"
    path.write_text("\n".join([f"patientId,{person}", *lines]) + "\n")
    return path


def test_who_is_evaluated_worked_out_by_hand(tmp_path: Path):
    path = mapping(tmp_path, "s1,00000001", "s3,00000003", "t1,5.0", "t9,9")
    # s2 by the split, s3 and t1 by the mapping; s1 and s4 are trained on, t9 is nobody's test study, t2 is not known.
    assert evaluated(SPLIT, ["t1", "t2"], path) == Evaluated(frozenset({"19124", "3", "5"}), 4, 1)


def test_a_person_of_two_names_is_left_out_by_both(tmp_path: Path):
    path = mapping(tmp_path, "s2,00000008")
    assert evaluated(SPLIT, [], path).persons == {"19124", "8"}


@pytest.mark.parametrize("spelling", ["00019124", "19124", '"19124.0"', "19124.0"])
def test_an_overlap_in_another_spelling_is_left_out(spelling: str):
    who = Evaluated(frozenset({"19124"}), 1, 0)
    table = pd.DataFrame({"image": ["a", "b", "c"], "person": [spelling, "19125", spelling]})
    kept, counts = without(table, who)
    assert kept["image"].tolist() == ["b"]
    assert counts == {"persons_left_out": 1, "images_left_out": 2, "persons_overlapping": 0}


def test_an_evaluated_person_that_the_rows_hide_stops_the_stage():
    table = pd.DataFrame({"image": ["00019124_003", "00000002_000"], "person": ["1", "2"]})
    who = Evaluated(frozenset({"19124"}), 1, 0)
    assert overlap(table["person"], table["image"], who) == {"19124"}
    with pytest.raises(ValueError, match="1 evaluated persons remain among the weak labels"):
        without(table, who)


def test_a_fault_in_leaving_out_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    who = Evaluated(frozenset({"19124"}), 1, 0)
    table = pd.DataFrame({"image": ["a"], "person": ["00019124"]})
    monkeypatch.setattr(pd.Series, "isin", lambda self, values: self == "nobody")
    with pytest.raises(ValueError, match="1 evaluated persons remain"):
        without(table, who)


@pytest.mark.parametrize(
    ("source", "fetched", "most", "refused"),
    [
        ("nih", "kaggle", 0, True),
        ("nih", "local", 2, True),
        ("nih", "local", 3, False),  # said loudly
        ("nih", "synthetic", 0, False),  # nobody is drawn
        ("reports", "local", 0, True),
        ("chexpert", "local", 0, False),  # of another hospital
    ],
)
def test_what_cannot_be_known_is_refused(source: str, fetched: str, most: int, refused: bool):
    who = Evaluated(frozenset(), 10, 3)
    if not refused:
        return refuse_unknown(who, source, fetched, most)
    with pytest.raises(
        ValueError, match=r"the person of 3 of 10 evaluated studies .* is not known.*pretrain\.unmapped: 3"
    ):
        refuse_unknown(who, source, fetched, most)


def test_a_mapping_without_rows_knows_nobody(tmp_path: Path):
    split = SPLIT.assign(person=SPLIT["study"])
    assert evaluated(split, ["t1"], mapping(tmp_path)) == Evaluated(frozenset(), 3, 3)


def test_the_real_mapping():
    path = SHARED / "labels" / "rsna_to_nih.csv"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    split = pd.DataFrame({"study": ["0004cfab-14fd-4e49-80ba-63a80b6bddd6"], "person": ["0004cfab-14fd-4e49-80ba-63a80b6bddd6"],
                          "subset": ["holdout"]})  # fmt: skip
    assert evaluated(split, ["00313ee0-9eaa-42f4-b0ab-c148ed3241cd"], path) == Evaluated(
        frozenset({"19124", "28640"}), 2, 0
    )
