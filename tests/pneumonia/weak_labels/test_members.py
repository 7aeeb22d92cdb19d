"""Images in folders, zips and tars, read in place; names that would climb out of them."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from pneumonia.weak_labels.members import members

CONTENT = b"an image"


def tar(path: Path, *names: str, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(CONTENT)
            archive.addfile(info, io.BytesIO(CONTENT))
    return path


def found(root: Path) -> list[tuple[str, str]]:
    """Name and content, or fault."""
    return [(m.name, m.fault[0] or m.read().decode()) for m in members(root)]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
def test_a_tar_is_read_from_its_start(tmp_path: Path, mode: str):
    path = tar(
        tmp_path / {"w": "a.tar", "w:gz": "a.tar.gz", "w:bz2": "a.tar.bz2"}[mode],
        "images/b.png",
        "x.txt",
        "images/a.PNG",
        mode=mode,
    )
    assert found(path) == [("images/b.png", "an image"), ("images/a.PNG", "an image")]


def test_a_folder_of_everything_in_its_order(tmp_path: Path):
    tar(tmp_path / "images_002.tar.gz", "images/t.png")
    with zipfile.ZipFile(tmp_path / "images_001.zip", "w") as archive:
        archive.writestr("images/z.jpeg", CONTENT)
        archive.writestr("__MACOSX/images/._z.jpeg", b"")
    (tmp_path / "images_003" / "images").mkdir(parents=True)
    (tmp_path / "images_003" / "images" / "f.png").write_bytes(CONTENT)
    (tmp_path / "README.txt").write_text("no image")
    assert [name for name, _ in found(tmp_path)] == ["images/z.jpeg", "images/t.png", "images_003/images/f.png"]


@pytest.mark.parametrize("name", ["../out.png", "/tmp/out.png", "images/../../out.png"])
def test_no_member_leads_out_of_its_archive(tmp_path: Path, name: str):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, CONTENT)
        archive.writestr("in.png", CONTENT)
    tar(tmp_path / "b.tar.gz", name, "in.png")
    assert found(tmp_path) == [(name, "unsafe_name"), ("in.png", "an image")] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.tar.gz"]


def test_a_link_in_a_tar_is_not_followed(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    assert found(tmp_path) == [("link.png", "unsafe_name")]


def test_an_archive_that_is_cut_short_gives_what_it_has_and_the_rest_goes_on(tmp_path: Path):
    import numpy as np

    noise = np.random.default_rng(1).bytes(40_000)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name in ("1.png", "2.png"):
            info = tarfile.TarInfo(name)
            info.size = len(noise)
            archive.addfile(info, io.BytesIO(noise))
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "b.zip").write_bytes(b"PK no zip")
    (tmp_path / "c.png").write_bytes(CONTENT)
    got = []
    for member in members(tmp_path):
        try:
            got.append((member.name, member.fault[0] or len(member.read())))
        except (OSError, EOFError, tarfile.TarError):
            got.append((member.name, "unreadable"))
    assert got == [
        ("1.png", 40_000), ("2.png", "unreadable"), ("a.tar.gz", "archive_damaged"), ("b.zip", "archive_damaged"), ("c.png", 8),
    ]  # fmt: skip


def test_a_source_without_images_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"set pretrain\.path"):
        list(members(tmp_path / "absent"))
    with pytest.raises(ValueError, match="no image and no archive"):
        list(members(tmp_path))
