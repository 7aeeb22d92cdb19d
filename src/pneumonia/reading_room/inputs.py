"""What a person gives to be read: every file of a folder or a zip, or one file, and what becomes of it.

A file's content says whether it is DICOM; its name only says that it was meant to be. Nothing is extracted, and a file is
read when its study is: a listing holds a line a file. Folders and zips follow the same rules.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from tqdm import tqdm

from pneumonia.archive import MAX_STUDY_BYTES, open_zip, path_fault
from pneumonia.reading_room import heads
from pneumonia.rejection import Reason, StudyError

RESULTS, FAILED, SKIPPED = "results", "failed", "skipped"
SUFFIXES = (
    ".dcm",
    ".dicom",
    ".dic",
    ".ima",
)  # a file so named is meant to be DICOM: where it is not, that is a failure
_STEM = re.compile(r"[^/\\:*?\"<>|.][^/\\:*?\"<>|]*(?<![. ])")  # of a portable file name, not hidden
MAX_STEM = 200  # bytes: file systems allow 255, and `.sr.dcm` and a temporary name's letters are still to come
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows keeps for itself
_ARCHIVES = (b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"BZh", b"\xfd7zXZ\0")
NAMED = 2  # other files that a reason names


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an input.

    Attributes:
        path: inside the input, `/`-separated, as it is called there; for one file its name.
        key: what the study is called in tables and in names of files: see `Inputs`. Empty for what is no DICOM file.
        status: empty for a study to be read, else `FAILED` or `SKIPPED`.
        reason: why it is not to be read.
        note: what else is to be said of it.
        number: of the file among those of the input.
    """

    path: str
    key: str = ""
    status: str = ""
    reason: str = ""
    note: str = ""
    number: int = -1


class _Found(Protocol):
    """The files of an input, by their numbers."""

    def read(self, number: int, size: int = -1) -> bytes:
        """The file, or its first `size` bytes.

        Raises:
            StudyError: (unreadable) it cannot be read.
        """

    def mark(self, number: int) -> str:
        """What tells the file from another one at its place; empty where there is none."""

    def some(self, numbers: Sequence[int]) -> _Found:
        """The same with these files alone, as another process can read them."""


@dataclass(frozen=True)
class Portion:
    """Some studies of an input, for another process, which may run on another machine that has the input at the same path.

    Attributes:
        entries: of the studies.
        marks: size and second of the last change of each file; of a zip's member name, checksum and size.
    """

    entries: tuple[Entry, ...]
    marks: tuple[str, ...]
    _files: _Found

    def read(self, entry: Entry) -> bytes:
        """As `Inputs.read`."""
        return heads.complete(self._files.read(entry.number))

    def differing(self) -> list[Entry]:
        """The studies whose files are not those that were listed."""
        return [
            entry
            for entry, mark in zip(self.entries, self.marks, strict=True)
            if self._files.mark(entry.number) != mark
        ]

    def one_by_one(self) -> list[Portion]:
        """Each study alone."""
        return [
            replace(self, entries=(entry,), marks=(mark,)) for entry, mark in zip(self.entries, self.marks, strict=True)
        ]

    @property
    def key(self) -> str:
        """A hash of what the studies are called, where they lie and what their files are."""
        known = [[entry.path, entry.key] for entry in self.entries], self.marks
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


@dataclass(slots=True)
class _Seen:
    """A file while the listing is made."""

    path: str
    number: int = -1
    status: str = ""
    reason: str = ""
    note: str = ""
    linked: bool = False  # reached through a link: the file itself goes before
    uid: str = ""
    dicom: bool = False
    key: str = ""
    original: _Seen | None = None  # of which it is a copy


class Inputs:
    """The files of a folder, of a zip, or one alone.

    Every file is an entry. A study's key is its file's name without a suffix of `SUFFIXES`, where no other study of the
    input has it (whether in capitals or not) and it is a portable name; else its SOP Instance UID; else, where it has
    none, `file-` and a hash of its path. So no two studies have the same, and no key repeats the name of a folder.

    Two files of one SOP Instance UID are one image: where their bytes are the same, the second is skipped as a copy, else
    nobody knows which of them is meant, and both have failed.

    Arguments:
        unique: whether two images of one UID have failed; where False they are read all the same, with a note.

    Attributes:
        entries: one a file, by path.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: a zip that is not whole, or what is neither a folder nor a regular file.
    """

    def __init__(self, path: str | Path, *, unique: bool = True) -> None:
        self.path, self._unique = Path(path), unique
        if not self.path.exists():
            raise FileNotFoundError(
                f"{path}: no such file or folder; wanted a DICOM file, a folder or a zip of DICOM files"
            )
        alone = False
        self._files: _Found
        if self.path.is_dir():
            self._files, found = _folder(self.path)
        elif not self.path.is_file():  # a pipe or a device, which can be read once or never ends
            raise ValueError(f"{path} is not a regular file; save it as a file first")
        elif _is_zip(self.path):
            self._files, found = _zip(self.path)
        else:
            alone = True
            self._files, found = _Files([self.path]), [_Seen(self.path.name, 0)]
        for file in tqdm(found, "list", unit=" files", disable=None, leave=False):
            if not file.status:
                self._look(file, meant=alone or is_named_dicom(file.path))
        self._tell_apart(found)
        _name(found)
        entries = (
            Entry(_printable(each.path), each.key, each.status, each.reason, each.note, each.number) for each in found
        )
        self.entries = sorted(entries, key=lambda entry: (entry.path, entry.number))

    def studies(self, limit: int | None = None) -> list[Entry]:
        """What is to be read, by key; with a `limit` the first ones, and the others become skipped."""
        wanted = sorted((entry for entry in self.entries if not entry.status), key=lambda entry: entry.key)
        left = {entry.number for entry in wanted[limit:]} if limit is not None else set()
        if left:
            self.entries = [
                replace(entry, status=SKIPPED, reason=f"beyond the limit of {limit:,}")
                if not entry.status and entry.number in left
                else entry
                for entry in self.entries
            ]
        return wanted[:limit]

    def read(self, entry: Entry) -> bytes:
        """The bytes of a study's file, with the preamble that it may lack.

        Raises:
            StudyError: (unreadable) it is too large, damaged in the archive, or gone.
        """
        return heads.complete(self._files.read(entry.number))

    def portion(self, entries: Sequence[Entry]) -> Portion:
        """Some studies, as another process can read them."""
        numbers = [entry.number for entry in entries]
        marks = tuple(self._files.mark(number) for number in numbers)
        return Portion(tuple(entries), marks, self._files.some(numbers))

    def _look(self, file: _Seen, *, meant: bool) -> None:
        try:
            start = self._files.read(file.number, heads.SIZE)
        except StudyError as error:
            file.status, file.reason, file.dicom = FAILED, str(error), meant
            return
        head = heads.look(start)
        shadow = PurePosixPath(file.path).name.startswith("._") or "__MACOSX" in PurePosixPath(file.path).parts
        if head is not None and not head.directory:
            file.dicom, file.uid = True, head.uid
        elif head is not None:
            file.status, file.reason = SKIPPED, "a DICOMDIR, the index of a medium: it holds no image"
        elif shadow:
            file.status, file.reason = SKIPPED, "a shadow file of macOS"
        elif meant:
            what = "an empty file" if not start else "not a DICOM file"
            file.status, file.reason, file.dicom = FAILED, f"{Reason.UNREADABLE}: {what}", True
        elif not start:
            file.status, file.reason = SKIPPED, "an empty file"
        elif start.startswith(_ARCHIVES) or start[257:262] == b"ustar":
            file.status, file.reason = SKIPPED, "an archive inside the input, which is not opened"
        else:
            file.status, file.reason = SKIPPED, "not a DICOM file"

    def _tell_apart(self, found: Sequence[_Seen]) -> None:
        """Compare files of the same UID; only those are read for it."""
        same: dict[str, list[_Seen]] = defaultdict(list)
        for file in found:
            if file.uid and not file.status:
                same[file.uid].append(file)
        for files in same.values():
            if len(files) > 1:
                self._compare(sorted(files, key=lambda file: (file.linked, file.path, file.number)))

    def _compare(self, files: Sequence[_Seen]) -> None:
        first: dict[bytes, _Seen] = {}
        for file in files:
            try:
                content = hashlib.sha256(heads.complete(self._files.read(file.number))).digest()
            except StudyError as error:
                file.status, file.reason = FAILED, str(error)
                continue
            if content in first:
                file.original = first[content]
                file.status, file.reason = SKIPPED, f"a copy of {_printable(file.original.path)}"
            else:
                first[content] = file
        if len(first) > 1:
            some = list(first.values())[: NAMED + 1]
            more = f" and {len(first) - 1 - NAMED:,} more" if len(first) - 1 > NAMED else ""
            for file in first.values():
                others = [_printable(other.path) for other in some if other is not file]
                fault = f"another image with the same SOP Instance UID is in {', '.join(others[:NAMED])}{more}"
                if self._unique:
                    file.status, file.reason = FAILED, f"{Reason.DUPLICATE_ID}: {fault}"
                else:
                    file.note = f"{fault[0].upper()}{fault[1:]}."


def is_named_dicom(path: str) -> bool:
    """Whether a file's name says that it is DICOM."""
    return path.lower().endswith(SUFFIXES)


def _name(found: Sequence[_Seen]) -> None:
    """Give every DICOM file its key; a copy has that of its original."""
    own = [file for file in found if file.dicom and file.original is None]
    files = sorted(own, key=lambda file: (file.linked, file.path, file.number))
    stems = [_stem(file.path) for file in files]
    count = Counter(map(_folded, stems))
    taken: set[str] = set()
    rest = []
    for file, stem in zip(files, stems, strict=True):
        if count[_folded(stem)] == 1 and _is_portable(stem):
            file.key = stem
            taken.add(_folded(stem))
        else:
            rest.append(file)
    for file in rest:  # the first file of a UID has it; a second has failed, and needs a name only in tables
        name = file.uid
        for attempt in range(len(found) + 2):
            if name and name not in taken:
                break
            name = "file-" + hashlib.sha256(os.fsencode(f"{file.path}\0{attempt or ''}")).hexdigest()[:16]
        file.key = name
        taken.add(name)
    for file in found:
        if file.original is not None:
            file.key = file.original.key


def _stem(path: str) -> str:
    name = PurePosixPath(path).name
    return PurePosixPath(name).stem if is_named_dicom(name) else name


def _folded(stem: str) -> str:
    """What two names have in common that are one on some file system."""
    return unicodedata.normalize("NFC", stem).casefold()


def _is_portable(stem: str) -> bool:
    if not (stem.isprintable() and _STEM.fullmatch(stem)) or _DEVICES.fullmatch(stem):
        return False  # bytes that are no UTF-8 are not printable either
    return len(stem.encode()) <= MAX_STEM


def _printable(path: str) -> str:
    """A path as tables show it: bytes that are no UTF-8 and control characters escaped."""
    if path.isprintable():
        return path
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in path)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(heads.SIZE)
    return heads.look(start) is None and (start[:2] == b"PK" or path.suffix.lower() == ".zip")


def _refuse_large(size: int) -> None:
    if size > MAX_STUDY_BYTES:
        raise StudyError(Reason.UNREADABLE, f"{size:,} bytes; at most {MAX_STUDY_BYTES:,} are read")


class _Files:
    """Files of a file system."""

    def __init__(self, files: Sequence[Path] | Mapping[int, Path]) -> None:
        self._paths = files

    def read(self, number: int, size: int = -1) -> bytes:
        """The file, or its first `size` bytes, as `_Found` says."""
        try:
            with self._paths[number].open("rb") as stream:
                if size < 0:
                    _refuse_large(os.fstat(stream.fileno()).st_size)
                return stream.read(size)
        except OSError as error:
            raise StudyError(Reason.UNREADABLE, f"cannot be read: {error.strerror}") from error

    def mark(self, number: int) -> str:
        """Size and second of the last change: a finer time is not the same through every file system."""
        try:
            status = self._paths[number].stat()
        except OSError:
            return ""
        return f"{status.st_size} {int(status.st_mtime)}"

    def some(self, numbers: Sequence[int]) -> _Files:
        """These files, by paths that do not depend on the folder that a process works in."""
        return _Files({number: self._paths[number].absolute() for number in numbers})


class _Members:
    """Members of a zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open_zip: zipfile.ZipFile | None = None
        self._process = 0

    def archive(self) -> zipfile.ZipFile:
        """The zip; a file position is shared between a process and its forks, so each opens its own."""
        if self._open_zip is None or self._process != os.getpid():
            self._open_zip, self._process = open_zip(self.path), os.getpid()
        return self._open_zip

    def read(self, number: int, size: int = -1) -> bytes:
        """The member, checked against its CRC, or its first `size` bytes, as `_Found` says."""
        archive = self.archive()
        info = archive.infolist()[number]
        if size < 0:
            _refuse_large(info.file_size)
        try:
            with archive.open(info) as stream:
                return stream.read(size) if size >= 0 else stream.read()
        except MemoryError:
            raise
        except Exception as error:  # whatever a hostile archive makes of its own fields, or its decoder
            raise StudyError(Reason.UNREADABLE, f"damaged archive member: {error}") from error

    def mark(self, number: int) -> str:
        """Name, checksum and size."""
        infos = self.archive().infolist()
        if number >= len(infos):
            return ""
        return f"{infos[number].orig_filename} {infos[number].CRC} {infos[number].file_size}"

    def some(self, numbers: Sequence[int]) -> _Members:
        """The same zip: its index is read once a process."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        status = self.path.stat()
        return _members, (self.path.absolute(), status.st_size, status.st_mtime)


@lru_cache(maxsize=1)
def _members(path: Path, size: int, changed: float) -> _Members:
    """A zip in another process; another one at the same path is opened anew."""
    return _Members(path)


def _zip(path: Path) -> tuple[_Members, list[_Seen]]:
    members = _Members(path)
    found = []
    infos = members.archive().infolist()
    names = {PurePosixPath(info.filename) for info in infos}
    names |= {parent for name in names for parent in name.parents}
    for number, info in enumerate(infos):
        if info.filename.endswith("/") and not info.file_size:  # a folder; one with content is a file with an odd name
            continue
        file = _Seen(info.orig_filename, number)
        if stat.S_ISLNK(info.external_attr >> 16):
            file.linked = True
            file.status, file.reason = _link(members, number, info, names)
        elif fault := path_fault(info) or ("" if info.filename else "has an empty name"):
            file.status, file.reason = FAILED, f"{Reason.UNSAFE_NAME}: {fault}"
        found.append(file)
    return members, found


def _link(members: _Members, number: int, info: zipfile.ZipInfo, names: set[PurePosixPath]) -> tuple[str, str]:
    """Status and reason of a link in a zip: what it leads to is listed under its own name, if it is in the zip."""
    try:
        target = os.fsdecode(members.read(number, 4096))
    except StudyError as error:
        return FAILED, str(error)
    place = os.path.normpath(PurePosixPath(info.filename).parent / target)
    if not target.startswith("/") and not place.startswith("..") and PurePosixPath(place) in names:
        return SKIPPED, f"a link to {_printable(place)}, which is listed"
    return FAILED, "a symbolic link that leads nowhere in the archive"


def _folder(folder: Path) -> tuple[_Files, list[_Seen]]:
    """Every file below a folder: those in it first, then those that links to folders lead to, each folder once."""
    files: list[Path] = []
    found: list[_Seen] = []
    seen: set[tuple[int, int]] = set()
    links = [folder]

    def path(file: Path) -> str:
        return file.relative_to(folder).as_posix()

    def unreadable(error: OSError) -> None:
        found.append(_Seen(path(Path(error.filename)), -1, FAILED, f"a folder that cannot be read: {error.strerror}"))

    while links:
        root = links.pop(0)
        more: list[Path] = []
        for name, folders, names in os.walk(root, onerror=unreadable):
            here = Path(name)
            if _identity(here) in seen:
                found.append(_Seen(path(here), -1, SKIPPED, "a folder that is listed already", linked=True))
                folders.clear()
                continue
            seen.add(_identity(here))
            more += [here / each for each in folders if _is_link(here / each)]
            for each in names:
                file = here / each
                own = _Seen(path(file), -1, *_kind(file), linked=root != folder or _is_link(file))
                if not own.status:
                    own.number = len(files)
                    files.append(file)
                found.append(own)
        links += sorted(more)
    return _Files(files), found


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_link(path: Path) -> bool:
    """Whether it is a symbolic link; False where the folder that holds it does not tell, where `Path` raises."""
    return os.path.islink(path)  # noqa: PTH114


def _kind(file: Path) -> tuple[str, str]:
    """Status and reason of what is no file that can be opened."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP) and _is_link(file):
            return FAILED, "a symbolic link that leads nowhere"
        return FAILED, f"cannot be read: {error.strerror}"
    return ("", "") if stat.S_ISREG(mode) else (SKIPPED, "not a regular file")
