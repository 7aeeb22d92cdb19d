"""A table reads what it is asked for, refuses what is not there, and writes its columns in their order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumonia.schema.table import Table

CASES = Table("data/{kind}/cases.csv", {"study": "str", "count": "int", "age": "float"}, {"age": 1})


def test_a_table_is_written_in_its_columns_order_and_decimals(tmp_path: Path):
    frame = pd.DataFrame({"extra": [1, 2], "age": [4.25, np.nan], "count": [3, 4], "study": ["a", "b"]})
    CASES.write(tmp_path / "cases.csv", frame)
    assert (tmp_path / "cases.csv").read_text() == "study,count,age\na,3,4.2\nb,4,\n"


def test_a_reader_gets_the_columns_it_names_and_demands_no_others(tmp_path: Path):
    table = CASES.of(kind="new")
    assert (table.path, table.name) == ("data/new/cases.csv", "cases.csv")
    (tmp_path / "data/new").mkdir(parents=True)
    (tmp_path / table.path).write_text("study,count\n007,3\n")
    read = table.read(tmp_path, ("count", "study"))
    assert list(read.columns) == ["count", "study"]
    assert read.to_numpy().tolist() == [[3, "007"]]
    with pytest.raises(ValueError, match=r"cases.csv: columns \['age'\] are missing, found \['study', 'count'\]"):
        table.read(tmp_path)


def test_a_column_that_no_file_has_is_refused(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"data/new/cases.csv has no columns \['sex'\], only \['study', 'count', 'age'\]"
    ):
        CASES.of(kind="new").read(tmp_path, ["study", "sex"])
    with pytest.raises(ValueError, match=r"columns \['count', 'age'\] are missing, got \['study'\]"):
        CASES.write(tmp_path / "cases.csv", pd.DataFrame({"study": ["a"]}))


def test_the_blanks_of_a_path_are_filled_in():
    with pytest.raises(KeyError, match="kind"):
        CASES.of(size=3)
