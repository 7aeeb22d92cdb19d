"""Files are whole or not there."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from pneumonia import files


def test_an_error_leaves_the_old_file_and_no_temporary(tmp_path: Path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.write_atomic(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_read_only_hard_link_is_replaced_not_written_through(tmp_path: Path):
    cached, target = tmp_path / "cached", tmp_path / "out.json"
    cached.write_text("cached")
    cached.chmod(0o444)
    target.hardlink_to(cached)
    files.write_json(target, {"a": 1})
    assert cached.read_text() == "cached"
    assert target.read_text() == '{\n  "a": 1\n}\n'


def test_fresh_dir_replaces_whole_folders(tmp_path: Path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "stale").write_text("x")
    with files.fresh_dir(target) as folder:
        (folder / "new").write_text("y")
    assert [p.name for p in target.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), files.fresh_dir(target) as folder:
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_fresh_dir_sweeps_what_the_killed_left_and_spares_what_is_in_use(tmp_path: Path):
    (tmp_path / ".out.dead.tmp").mkdir()
    (tmp_path / ".out.dead.tmp" / "half").write_text("x")
    (tmp_path / ".outer.dead.tmp").mkdir()  # of another target
    with files.fresh_dir(tmp_path / "out") as first, files.fresh_dir(tmp_path / "out") as second:
        assert {p.name for p in tmp_path.iterdir()} == {first.name, second.name, ".outer.dead.tmp"}


def test_json_is_sorted_rounded_and_has_no_nan(tmp_path: Path):
    import numpy as np

    files.write_json(tmp_path / "m.json", {"b": np.float32(0.5), "a": 1 / 3, "c": float("nan"), "d": [np.int64(2)]})
    text = (tmp_path / "m.json").read_text()
    assert text == '{\n  "a": 0.333333,\n  "b": 0.5,\n  "c": null,\n  "d": [\n    2\n  ]\n}\n'


def test_csv_keeps_digits_and_empty_values(tmp_path: Path):
    frame = pd.DataFrame({"study": ["a", "b"], "x": [1.0, float("nan")], "n": [1, 2]})
    files.write_csv(tmp_path / "t.csv", frame, {"x": 2})
    assert (tmp_path / "t.csv").read_bytes() == b"study,x,n\na,1.00,1\nb,,2\n"
    back = files.read_csv(tmp_path / "t.csv", {"study": "str", "x": "float", "n": "int"})
    assert back["x"].isna().tolist() == [False, True]
    assert back["n"].dtype == "int64"


def test_a_csv_without_a_column_is_named(tmp_path: Path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"t\.csv: columns \['c'\] are missing, found \['a', 'b'\]"):
        files.read_csv(tmp_path / "t.csv", {"a": "int", "c": "int"})


def test_md5_is_the_files(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.md5(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, appendix A.5


def test_sha256_is_the_files(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"abc")
    assert files.sha256(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_flat_joins_keys_by_dots():
    assert files.flat({"a": {"b": {"c": 1}, "d": [2]}, "e": {}}) == {"a.b.c": 1, "a.d": [2]}
