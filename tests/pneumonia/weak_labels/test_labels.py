"""One form for all sources: spellings of a person, rows of a CSV."""

from pathlib import Path

import pytest

from pneumonia.weak_labels.labels import person_key, rows


@pytest.mark.parametrize(
    "text", ["00019124", "19124", '"19124.0"', "19124.0", " 19124 ", "1.9124e4", "+19124", 19124, 19124.0]
)
def test_one_person_in_every_spelling(text: object):
    assert person_key(text) == "19124"


@pytest.mark.parametrize(
    ("text", "key"),
    [("Patient07", "patient07"), ("19124.5", "19124.5"), ("0", "0"), ("", ""), ("1_9", "1_9"), ("١٢", "١٢")],
)
def test_other_ids_stay_as_they_are(text: str, key: str):
    assert person_key(text) == key


def test_rows_by_the_names_of_the_header(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b'\xef\xbb\xbfb,x[c,d],a\r\n1,2,3,"4, four"\r\n\r\n5,6,7,8,9\r\n')
    assert list(rows(path, ("a", "b"))) == [{"a": "4, four", "b": "1"}, {"a": "8", "b": "5"}]


def test_what_is_wrong_with_a_file_is_named(tmp_path: Path):
    path = tmp_path / "labels.csv"
    with pytest.raises(FileNotFoundError, match=r"labels\.csv: no such file of labels; set pretrain\.labels"):
        list(rows(path, ("a",)))
    path.write_text("a,b\n1\n")
    with pytest.raises(ValueError, match=r"row 2 has 1 fields, wanted 2"):
        list(rows(path, ("b",)))
    with pytest.raises(ValueError, match=r"columns \['c'\] are missing, found \['a', 'b'\]"):
        list(rows(path, ("a", "c")))
