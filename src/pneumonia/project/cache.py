"""Is what lies in DVC's cache what its name says?

DVC takes a read-only file of the cache for whole without reading it, so a disk that lost bits, or a write through a hard
link by a user whom permissions do not stop, goes unnoticed: a checkout hands out the damaged file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tqdm import tqdm

from pneumonia.files import md5


@dataclass(frozen=True)
class Checked:
    """What a look at the cache found.

    Arguments:
        files: how many were read.
        damaged: those whose content has another MD5 than their name says.
        unreadable: files and folders that could not be read, and why: nothing is known of them.
    """

    files: int
    damaged: list[Path]
    unreadable: dict[Path, str]


@dataclass(frozen=True)
class Removed:
    """What was deleted.

    Arguments:
        files: of the cache.
        links: outs that were the same files.
        kept: files of the cache and outs that could not be deleted, and why.
    """

    files: list[Path]
    links: list[Path]
    kept: dict[Path, str]


def check(cache: Path) -> Checked:
    """Read every file of a DVC cache (its folder `files/md5`).

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not cache.is_dir():
        raise FileNotFoundError(f"no cache at {cache}: nothing was checked; dvc repro or dvc pull fills one")
    unreadable: dict[Path, str] = {}
    folders = [path for path in _listed(cache, unreadable) if len(path.name) == 2]
    # DVC's leftovers: a file half written, a folder it unpacked
    paths = [
        path
        for folder in folders
        for path in _listed(folder, unreadable)
        if not path.name.endswith((".tmp", ".unpacked"))
    ]
    read, damaged = 0, []
    for path in tqdm(paths, desc="cache", unit="file"):
        try:
            whole = _whole(path)
        except OSError as error:
            unreadable[path] = error.strerror or str(error)
            continue
        read += 1
        if not whole:
            damaged.append(path)
    return Checked(read, damaged, unreadable)


def remove(paths: Iterable[Path], root: Path = Path()) -> Removed:
    """Delete files of the cache and every out below `root` that is the same file by a link.

    What is deleted DVC fetches from a remote or makes again. A link that leads nowhere is none of these: it stays. An
    out goes after its file of the cache, and stays where that one does.

    Raises:
        OSError: a folder of outs that cannot be listed; nothing was deleted.
        ValueError: dvc.lock cannot be read; nothing was deleted.
    """
    inodes = {path: _inode(path) for path in paths}
    links: dict[tuple[int, int], list[Path]] = {inode: [] for inode in inodes.values() if inode}
    for path in _outs(root):
        if (inode := _inode(path)) in links:
            links[inode].append(path)
    removed = Removed([], [], {})
    for path, inode in inodes.items():
        if _unlink(path, removed.files, removed.kept) and inode:
            for link in links[inode]:
                _unlink(link, removed.links, removed.kept)
    return removed


def folder(root: Path = Path()) -> Path:
    """Where the project keeps its cache.

    Raises:
        ValueError: `root` is no DVC project.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local.path)
    except NotDvcRepoError as error:
        raise ValueError(str(error)) from error


def _listed(folder: Path, unreadable: dict[Path, str]) -> list[Path]:
    """What lies in a folder, sorted; nothing, with an entry in `unreadable`, where it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        unreadable[folder] = error.strerror or str(error)
        return []


def _whole(path: Path) -> bool:
    """Whether a file is what its name says; a link that leads nowhere is not."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        raise OSError("it is no file")
    return md5(path) == path.parent.name + path.stem


def _unlink(path: Path, deleted: list[Path], kept: dict[Path, str]) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        kept[path] = error.strerror or str(error)
        return False
    deleted.append(path)
    return True


def _inode(path: Path) -> tuple[int, int] | None:
    """What tells that two paths are one file; None where there is none (any more)."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _outs(root: Path) -> Iterator[Path]:
    """The files of every output that dvc.lock names and that is there."""
    for path in _out_paths(root / "dvc.lock"):
        if (root / path).is_file() or (root / path).is_symlink():
            yield root / path
        for folder, _, files in os.walk(root / path, onerror=_refuse_unlisted):
            yield from (Path(folder, file) for file in files)


def _out_paths(lock: Path) -> list[str]:
    """The paths of all outputs in dvc.lock; none where there is no dvc.lock, or none of a stage in it."""
    if not lock.exists():
        return []
    try:
        content: Any = YAML(typ="safe").load(lock.read_text(encoding="utf-8")) or {}
        stages = content.get("stages") or {}
        return [str(out["path"]) for stage in stages.values() for out in stage.get("outs") or []]
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{lock} cannot be read, so that it is not known which outs are links to the cache; nothing was deleted; "
            f"mend it or check it out again ({type(error).__name__}: {error})"
        ) from error


def _refuse_unlisted(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):  # an out that is not there, or is a file
        raise OSError(f"{error.filename}: the folder cannot be listed ({error.strerror}); nothing was deleted")
