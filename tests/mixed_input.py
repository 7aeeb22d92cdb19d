"""A folder of 200 files of every sort that people keep beside their radiographs, and a zip of the same."""

from __future__ import annotations

import itertools
import os
import stat
import zipfile
from pathlib import Path

from tests.radiographs import chest

DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage
EXPECTED = {"results": 141, "failed": 19, "skipped": 40}


def without_preamble(data: bytes) -> bytes:
    """A DICOM file as it was written before PS3.10: no 128 bytes, no DICM."""
    return data[132:]


def without_meta(data: bytes) -> bytes:
    """A data set alone: no file meta group either, whose length its first element gives."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


def dicomdir() -> bytes:
    """What looks like the index of a medium."""
    data = chest(SOPClassUID=DIRECTORY)
    assert data.count(DIRECTORY.encode()) == 2
    return data


def write(folder: Path) -> dict[str, str]:
    """Make `folder`, with links that lead out of it to a folder beside it; returns what becomes of each path."""
    uid = itertools.count(1)
    expected: dict[str, str] = {}

    def one(**elements: str) -> bytes:
        return chest(SOPInstanceUID=f"1.2.3.{next(uid)}", **elements)

    def put(path: str, content: bytes, status: str) -> bytes:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        expected[path] = status
        return content

    for number in range(40):
        put(f"patient{number:05}/study1/view1_frontal.dcm", one(), "results")
    for number in range(20):
        put(f"siemens/{number}.IMA", one(), "results")
        put(f"cd/DICOM/IM{number:06}", one(), "results")
        put(f"uid/1.2.840.{number}", one(), "results")
    for number in range(10):
        put(f"other/a{number}.dic", one(), "results")
        put(f"other/b{number}.dicom", one(), "results")
        put(f"old/c{number}", without_preamble(one()), "results")
    for number in range(5):
        put(f"older/d{number}.img", without_meta(one()), "results")
        put(f"hand/{number}.dcm", one(BodyPartExamined="HAND"), "skipped")
        put(f"lateral/{number}.dcm", one(ViewPosition="LL"), "skipped")
        put(f"cut/e{number}.dcm", one()[:-2000], "failed")
        put(f"text/{number}.dcm", b"nothing", "failed")
        put(f"text/{number}.txt", b"a note", "skipped")
        put(f"__MACOSX/._{number}.dcm", b"\0\5\x16\7", "skipped")
    put("cd/DICOMDIR", dicomdir(), "skipped")
    put("empty.dcm", b"", "failed")
    put("empty.dic", b"", "failed")
    for name in ("empty.txt", "labels.csv", "README", ".hidden"):
        put(name, b"", "skipped")
    put("more.zip", b"PK\3\4" + bytes(60), "skipped")
    put("more.tar", bytes(257) + b"ustar" + bytes(60), "skipped")
    for number in range(8):
        put(f"uid/copy{number}.dcm", (folder / f"siemens/{number}.IMA").read_bytes(), "skipped")
    for number in range(3):
        content = put(f"same/first{number}.dcm", one(), "failed")
        put(f"same/second{number}.dcm", content[:-1] + b"\1", "failed")

    ward = folder.parent / "ward_real"
    ward.mkdir()
    for number in range(6):
        (ward / f"w{number}.dcm").write_bytes(one())
        expected[f"ward/w{number}.dcm"] = "results"
    (folder / "ward").symlink_to(ward)
    for number in range(4):
        (folder / f"zlink{number}.dcm").symlink_to(f"uid/1.2.840.{number}")
        expected[f"zlink{number}.dcm"] = "skipped"
    (folder / "loop").symlink_to(".")
    expected["loop"] = "skipped"
    (folder / "gone.dcm").symlink_to("nowhere.dcm")
    expected["gone.dcm"] = "failed"
    return expected


def pack(folder: Path, path: Path) -> None:
    """Zip `folder`: files that links lead to as files, the link that leads back and the one to nowhere as links."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, _, files in [*os.walk(folder), *os.walk(folder / "ward")]:
            archive.write(place, Path(place).relative_to(folder).as_posix())
            for name in files:
                file = Path(place) / name
                if file.exists():
                    archive.write(file, file.relative_to(folder).as_posix())
        for name in ("loop", "gone.dcm"):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, str((folder / name).readlink()))
