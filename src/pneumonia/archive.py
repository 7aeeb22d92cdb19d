"""Random access to the DICOM studies of a zip; a study's id is its file's stem.

Members are read into memory and never extracted, so that no name in an archive can lead anywhere. A reader is cheap to
send to another process: it pickles as its index and opens the file there.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pneumonia.rejection import Reason, StudyError

MAX_STUDY_BYTES = 256 * 2**20  # a chest radiograph has 0.1 to 40 MB; beyond this it is a mistake or a zip bomb

_ID = re.compile(
    r"[^\x00-\x1f\x7f/\\:*?\"<>|.][^\x00-\x1f\x7f/\\:*?\"<>|]{0,199}"
)  # one portable file name, not hidden


class Studies(Protocol):
    """What a reader of studies offers; `duplicates` (by id) and `unsafe` (by file name) say what is wrong there."""

    studies: list[str]
    duplicates: dict[str, str]
    unsafe: dict[str, str]

    def read(self, study: str) -> bytes:
        """The bytes of the file of `study`.

        Raises:
            KeyError: an unknown id.
            StudyError: (unreadable) a damaged file.
        """


class StudyArchive:
    """The studies of a zip: its members ending in `.dcm`, at any depth, by file stem.

    `studies` is sorted and holds the ids that occur once; an id of several members is in `duplicates` instead, and a
    member whose name is absolute, climbs with `..` or is no portable file name, or which is a link, in `unsafe`.

    Arguments:
        path: of the zip.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a whole zip.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        self._process = 0
        members: dict[str, list[str]] = {}
        self.unsafe: dict[str, str] = {}
        with open_zip(self.path) as archive:
            for info in archive.infolist():
                if not is_study_name(info.filename):
                    continue
                fault = name_fault(info)
                if fault:
                    self.unsafe[info.filename.encode("ascii", "backslashreplace").decode()] = fault
                else:
                    members.setdefault(PurePosixPath(info.filename).stem, []).append(info.filename)
        self._members, self.duplicates = _once(members)
        self.studies = sorted(self._members)

    def read(self, study: str) -> bytes:
        """The bytes of `study`, checked against the archive's CRC."""
        if study not in self._members:
            raise KeyError(f"no study {study!r} in {self.path}")
        archive = self._open()
        info = archive.getinfo(self._members[study])
        _refuse_large(info.file_size)
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise StudyError(Reason.UNREADABLE, f"damaged archive member: {error}") from error

    def _open(self) -> zipfile.ZipFile:
        # A file position is shared between a process and its forks: each opens its own.
        if self._zip is None or self._process != os.getpid():
            self._zip, self._process = open_zip(self.path), os.getpid()
        return self._zip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_zip": None}


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, sorted; through links to files and to folders, each folder once, however often it is linked.

    Arguments:
        folder: to look through.

    Raises:
        OSError: a folder that cannot be listed; it names the folder.
        ValueError: a link that leads nowhere, a pipe or the like, unless its name is hidden and no study's.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for name, folders, files in os.walk(folder, followlinks=True, onerror=_refuse_unlisted):
        here = Path(name)
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back, or to where another one led
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()  # the same folder is met first under the same name
        found += map(here.joinpath, files)
    odd = sorted(path for path in found if not path.is_file() and (path.name[0] != "." or is_study_name(path.name)))
    if odd:
        said = ", ".join(f"{path} ({_kind(path)})" for path in odd[:3])
        raise ValueError(f"{folder}: {len(odd)} entries are no files: {said}; mend or remove them")
    return sorted(path for path in found if path.is_file())


def _refuse_unlisted(error: OSError) -> None:
    raise OSError(
        f"{error.filename}: the folder cannot be listed ({error.strerror}); let this user read it, or remove it"
    ) from error


def _kind(path: Path) -> str:
    return "a link that leads nowhere" if path.is_symlink() and not path.exists() else "a pipe, socket or device"


def open_zip(path: str | Path) -> zipfile.ZipFile:
    """Open a zip for reading; ValueError says so where it is not a whole one (the index of a zip stands at its end)."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such zip file")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"{path} is not a whole zip archive ({error}); it may be cut short: copy or download it again"
        ) from error


def write_archive(path: str | Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip of `(name, content)` pairs in their order: same members, same bytes.

    Stored, as JPEGs do not shrink; with a fixed date and mode.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)


def is_study_name(name: str) -> bool:
    """Whether a member or file is a study by its suffix; the shadow files macOS adds to archives are not."""
    parts = PurePosixPath(name.lower()).parts
    return (
        bool(parts)
        and parts[-1].endswith((".dcm", ".dicom"))
        and "__macosx" not in parts
        and not parts[-1].startswith("._")
    )


def name_fault(info: zipfile.ZipInfo) -> str:
    """What makes a member's name or kind unsafe, or an empty string.

    Beyond what `path_fault` finds, the name of a study must be one that a file can have everywhere.
    """
    name = info.orig_filename
    if is_study_name(name) and not path_fault(info) and not _ID.fullmatch(PurePosixPath(name).stem):
        return "is not a portable file name"
    return path_fault(info)


def path_fault(info: zipfile.ZipInfo) -> str:
    """What makes a member's path or kind unsafe, or an empty string.

    Looks at the name as written in the archive (`zipfile` cuts it at a NUL and turns backslashes on Windows).
    """
    name = info.orig_filename
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a symbolic link"
    if "\\" in name or "\x00" in name:
        return "has a backslash or NUL in its name"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute name"
    if ".." in name.split("/"):
        return "climbs out of the archive with '..'"
    return ""


def _once(members: dict[str, list[str]]) -> tuple[dict[str, str], dict[str, str]]:
    single = {study: names[0] for study, names in members.items() if len(names) == 1}
    several = {
        study: f"{len(names)} files: {', '.join(sorted(names)[:3])}"
        for study, names in members.items()
        if len(names) > 1
    }
    return single, dict(sorted(several.items()))


def _refuse_large(size: int) -> None:
    if size > MAX_STUDY_BYTES:
        raise StudyError(Reason.UNREADABLE, f"{size:,} bytes; at most {MAX_STUDY_BYTES:,} are read")
