"""Hashes and versions of a report."""

from importlib import metadata

from pneumonia.report.provenance import hashes, packages


def test_folders_are_listed_by_name_and_what_is_missing_or_hidden_left_out(tmp_path):
    for name in ("data/b/2", "data/a", "data/.gitignore", "metrics.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    empty = "d41d8cd98f00b204e9800998ecf8427e"
    expected = [("metrics.json", empty), ("data/a", empty), ("data/b/2", empty)]
    assert hashes(tmp_path, ["metrics.json", "data", "models"]) == expected


def test_packages_that_are_not_installed_are_left_out():
    assert packages(["numpy", "no-such-package-here"]) == [("numpy", metadata.version("numpy"))]
