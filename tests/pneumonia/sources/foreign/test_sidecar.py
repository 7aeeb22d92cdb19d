"""The CSV beside pictures: columns, unknown values, refusals by line."""

import pytest

from pneumonia.sources.foreign import sidecar
from pneumonia.sources.foreign.marked import Facts


def test_columns_in_any_order_and_empty_values(tmp_path):
    path = tmp_path / "side.csv"
    path.write_text("view,study,person,age\nPA,a,p1,57\n,b,,\n")
    assert sidecar.read(path) == {"a": Facts("p1", "", "57", "PA"), "b": Facts()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("study,view\na,PA\nb,LL\n", "line 3, column view: wanted AP or PA or nothing, got 'LL'"),
        ("study,sex\na,female\n", "line 2, column sex: wanted F or M"),
        ("study,age\na,-3\n", "line 2, column age: wanted years"),
        ('study,spacing\na,"0,15"\n', "line 2, column spacing: wanted mm"),
        ("study,view\na,PA\na,AP\n", "1 studies come more than once: a"),
        ("study,gender\na,F\n", "columns gender are not known"),
        ("view\nPA\n", "columns study are missing"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, said):
    path = tmp_path / "side.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        sidecar.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"fetch\.foreign\.sidecar"):
        sidecar.read(tmp_path / "none.csv")
