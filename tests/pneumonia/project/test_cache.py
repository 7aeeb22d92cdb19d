"""A damaged object of DVC's cache is found, and its removal takes the outs with it that are the same file."""

import hashlib
from pathlib import Path

from pneumonia.project.cache import corrupted, remove


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
    assert corrupted(cache) == []
    out, other = tmp_path / "data/clean/studies.csv", tmp_path / "data/clean/boxes.csv"
    out.parent.mkdir(parents=True)
    out.hardlink_to(damaged)
    other.hardlink_to(whole)
    (tmp_path / "dvc.lock").write_text("stages:\n  clean:\n    cmd: x\n    outs:\n    - path: data/clean\n")
    damaged.chmod(0o644)
    damaged.write_bytes(b"damagee")  # one bit
    damaged.chmod(0o444)
    assert corrupted(cache) == [damaged]
    assert remove([damaged], tmp_path) == [out]
    assert not damaged.exists()
    assert not out.exists()
    assert whole.exists()
    assert folder.exists()
    assert other.read_bytes() == b"whole"
    assert corrupted(cache) == []


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
    assert sorted(corrupted(cache)) == sorted([damaged, lost])
    assert remove([damaged, lost], tmp_path) == [data / "damaged.csv"]
    assert sorted(path.name for path in data.iterdir()) == ["gone.csv", "whole.csv"]
    assert not damaged.exists()
    assert not lost.is_symlink()
    assert (data / "whole.csv").read_bytes() == b"whole"
    assert corrupted(cache) == []
