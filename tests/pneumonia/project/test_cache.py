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
