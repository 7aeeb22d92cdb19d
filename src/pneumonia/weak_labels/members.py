"""Images as they lie: in folders, in zips and tars among them, in one archive; read in place and in order.

A tar that is compressed can be read from its start alone (NIH publishes 12 such), so everything is one stream. Nothing is
ever extracted: a member's name is looked at and leads nowhere.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pneumonia.archive import MAX_STUDY_BYTES, files_below, open_zip, path_fault

IMAGES = (".png", ".jpg", ".jpeg")
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


class Member(NamedTuple):
    """A file of the stream.

    Attributes:
        name: as its folder or archive has it, `/`-separated.
        read: its bytes; to be called before the next member is asked for.
        fault: one word and a detail where it is not to be read, else empty.
    """

    name: str
    read: Callable[[], bytes]
    fault: tuple[str, str] = ("", "")


def containers(root: str | Path) -> list[Path]:
    """The files of a source: images, and archives of images; of a folder all below it, sorted.

    Raises:
        FileNotFoundError: there is no such file or folder. ValueError: there is neither image nor archive.
    """
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such file or folder; set pretrain.path to the images or their archive")
    found = files_below(root) if root.is_dir() else [root]
    used = [path for path in found if _is_image(path.name) or path.name.lower().endswith((".zip", *TARS))]
    if not used:
        raise ValueError(f"{root}: no image and no archive; wanted {', '.join((*IMAGES, '.zip', *TARS))}")
    return used


def members(root: str | Path) -> Iterator[Member]:
    """Every image of a source, in the order in which it lies; what is no image is passed over.

    An archive that ends too early gives what it has, then a member of its name with the fault `archive_damaged`.
    """
    root = Path(root)
    for path in containers(root):
        name = path.relative_to(root).as_posix() if path != root else path.name
        if _is_image(path.name):
            yield _member(name, path.stat().st_size, path.read_bytes)
            continue
        try:
            yield from _zip(path) if path.suffix.lower() == ".zip" else _tar(path)
        except (*_DAMAGED, ValueError) as error:
            yield Member(name, bytes, ("archive_damaged", type(error).__name__))


def _zip(path: Path) -> Iterator[Member]:
    with open_zip(path) as archive:
        for info in archive.infolist():
            if not info.is_dir() and _is_image(info.filename):
                fault = path_fault(info)
                yield _member(info.filename, info.file_size, partial(archive.read, info), fault)


def _tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path, "r|*") as archive:
        for info in archive:
            if info.isdir() or not _is_image(info.name):
                continue
            fault = "" if info.isreg() else "is no plain file"
            if info.name.startswith("/") or ".." in info.name.split("/") or "\\" in info.name:
                fault = "could lead outside of a folder"
            yield _member(info.name, info.size, partial(_content, archive, info), fault)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(info)
    return b"" if stream is None else stream.read()


def _member(name: str, size: int, read: Callable[[], bytes], fault: str = "") -> Member:
    plain = name.encode("ascii", "backslashreplace").decode()
    if fault:
        return Member(plain, bytes, ("unsafe_name", fault))
    if size > MAX_STUDY_BYTES:
        return Member(plain, bytes, ("too_large", f"{size:,} bytes; at most {MAX_STUDY_BYTES:,} are read"))

    def checked() -> bytes:
        content = read()
        if len(content) != size:
            raise OSError(f"{len(content)} of {size} bytes")
        return content

    return Member(plain, checked)


def _is_image(name: str) -> bool:
    """By its suffix; hidden files and macOS' shadows are none."""
    parts = PurePosixPath(name.lower()).parts
    return bool(parts) and parts[-1].endswith(IMAGES) and "__macosx" not in parts and not parts[-1].startswith(".")
