"""A damaged object of DVC's cache is found, and its removal takes the outs with it that are the same file."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from pneumonia.project.cache import check, remove


def store(cache: Path, content: bytes, suffix: str = "") -> Path:
    name = hashlib.md5(content).hexdigest() + suffix
    path = cache / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o444)
    return path


def test_damage_is_found_and_removed_with_its_links(tmp_path: Path):
    cache = tmp_path / ".dvc/cache/files/md5"
    whole, damaged, folder = store(cache, b"whole"), store(cache, b"damaged"), store(cache, b"[]", ".dir")
    assert check(cache).damaged == []
    out, other = tmp_path / "data/clean/studies.csv", tmp_path / "data/clean/boxes.csv"
    out.parent.mkdir(parents=True)
    out.hardlink_to(damaged)
    other.hardlink_to(whole)
    (tmp_path / "dvc.lock").write_text("stages:\n  clean:\n    cmd: x\n    outs:\n    - path: data/clean\n")
    damaged.chmod(0o644)
    damaged.write_bytes(b"damagee")  # one bit
    damaged.chmod(0o444)
    assert check(cache).damaged == [damaged]
    assert remove([damaged], tmp_path).links == [out]
    assert not damaged.exists()
    assert not out.exists()
    assert whole.exists()
    assert folder.exists()
    assert other.read_bytes() == b"whole"
    assert check(cache).damaged == []


def test_links_that_lead_nowhere_are_no_obstacle(tmp_path: Path):
    cache = tmp_path / ".dvc/cache/files/md5"
    whole, damaged = store(cache, b"whole"), store(cache, b"damaged")
    damaged.chmod(0o644)
    damaged.write_bytes(b"damagee")
    data = tmp_path / "data/clean"
    data.mkdir(parents=True)
    links = {"whole.csv": whole, "damaged.csv": damaged, "gone.csv": cache / "00/gone"}  # as with cache.type symlink
    for name, target in links.items():
        (data / name).symlink_to(target)
    (tmp_path / "model").symlink_to(cache / "00/gone too")
    lost = cache / "ab" / "cdef"
    lost.parent.mkdir()
    lost.symlink_to(tmp_path / "another disk, not there")
    outs = "".join(f"    - path: {path}\n" for path in ("data/clean", "model", "never/made"))
    (tmp_path / "dvc.lock").write_text(f"stages:\n  clean:\n    cmd: x\n    outs:\n{outs}")
    assert sorted(check(cache).damaged) == sorted([damaged, lost])
    assert remove([damaged, lost], tmp_path).links == [data / "damaged.csv"]
    assert sorted(path.name for path in data.iterdir()) == ["gone.csv", "whole.csv"]
    assert not damaged.exists()
    assert not lost.is_symlink()
    assert (data / "whole.csv").read_bytes() == b"whole"
    assert check(cache).damaged == []


def test_what_cannot_be_read_is_a_list_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, closed, damaged = (store(tmp_path, content) for content in (b"whole", b"closed", b"damaged"))
    damaged.chmod(0o644)
    damaged.write_bytes(b"damagee")
    leftover = store(tmp_path, b"[]", ".dir.unpacked")
    leftover.unlink()
    leftover.mkdir()
    (tmp_path / "00/folder").mkdir(parents=True)
    (tmp_path / "01").write_text("no folder")
    os.mkfifo(tmp_path / "00/pipe")
    hidden = store(tmp_path, b"hidden").parent
    monkeypatch.setattr("pneumonia.project.cache.md5", denying(closed, hashed))
    monkeypatch.setattr(Path, "iterdir", denying(hidden, Path.iterdir))
    checked = check(tmp_path)
    assert (checked.files, checked.damaged) == (2, [damaged])
    assert checked.unreadable == {
        tmp_path / "01": "Not a directory",
        hidden: "Permission denied",
        tmp_path / "00/folder": "it is no file",
        tmp_path / "00/pipe": "it is no file",
        closed: "Permission denied",
    }
    assert whole.exists()


def hashed(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def denying(denied: Path, function: Any) -> Any:
    """`function` of a path, as for a user who has no right to this one."""

    def called(path: Path, **options: Any) -> Any:
        if path == denied:
            raise PermissionError(13, "Permission denied", str(path))
        return function(path, **options)

    return called


def test_a_cache_that_cannot_be_listed_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "iterdir", denying(tmp_path, Path.iterdir))
    assert check(tmp_path).unreadable == {tmp_path: "Permission denied"}


def test_no_cache_is_said(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no cache at .*md5: nothing was checked"):
        check(tmp_path / "md5")


def test_an_out_stays_where_its_file_of_the_cache_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stuck, gone = store(tmp_path / "cache", b"stuck"), store(tmp_path / "cache", b"gone")
    for path in (stuck, gone):
        (tmp_path / f"{path.name}.csv").hardlink_to(path)
    outs = "".join(f"    - path: {path.name}.csv\n" for path in (stuck, gone))
    (tmp_path / "dvc.lock").write_text(f"stages:\n  clean:\n    cmd: x\n    outs:\n{outs}  bare:\n    cmd: x\n")
    monkeypatch.setattr(Path, "unlink", denying(stuck, Path.unlink))
    removed = remove([stuck, gone], tmp_path)
    assert (removed.files, removed.links) == ([gone], [tmp_path / f"{gone.name}.csv"])
    assert removed.kept == {stuck: "Permission denied"}
    assert (tmp_path / f"{stuck.name}.csv").exists()


@pytest.mark.parametrize("content", ["", "schema: '2.0'\n", "stages:\n", "stages: {}\n", "stages: {a: {cmd: x}}\n"])
def test_a_lock_without_outs_is_no_obstacle(tmp_path: Path, content: str):
    damaged = store(tmp_path / "cache", b"x")
    (tmp_path / "dvc.lock").write_text(content)
    assert remove([damaged], tmp_path).files == [damaged]


@pytest.mark.parametrize(
    "content",
    ["<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> x\n", "text", "[1]", "stages: [1]", "stages: {a: 1}", "[" * 1200,
     "stages: {a: {outs: [1]}}", "stages: {a: {outs: [{md5: x}]}}", "stages: {a: {outs: 5}}", "a: 2018-13-01"],
)  # fmt: skip
def test_a_lock_that_cannot_be_read_is_named_and_nothing_deleted(tmp_path: Path, content: str):
    damaged = store(tmp_path / "cache", b"x")
    (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(ValueError, match=r"dvc\.lock cannot be read, .*; nothing was deleted; mend it"):
        remove([damaged], tmp_path)
    assert damaged.exists()
