"""Is what lies in DVC's cache what its name says?

DVC takes a read-only file of the cache for whole without reading it, so a disk that lost bits, or a write through a hard
link by a user whom permissions do not stop, goes unnoticed: a checkout hands out the damaged file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ruamel.yaml import YAML
from tqdm import tqdm

from pneumonia.files import md5


def corrupted(cache: Path) -> list[Path]:
    """The files of a DVC cache (its folder `files/md5`) whose content has another MD5 than their name says."""
    files = sorted(path for path in cache.glob("??/*") if not path.name.endswith(".tmp"))

    def whole(path: Path) -> bool:
        return path.exists() and md5(path) == path.parent.name + path.stem  # a link may lead nowhere

    return [path for path in tqdm(files, desc="cache", unit="file") if not whole(path)]


def remove(paths: Iterable[Path], root: Path = Path()) -> list[Path]:
    """Delete files of the cache and every out below `root` that is the same file by a link; returns those outs.

    What is deleted DVC fetches from a remote or makes again. A link that leads nowhere is none of these: it stays.
    """
    damaged = list(paths)
    inodes = {_inode(path) for path in damaged} - {None}
    linked = [path for path in _outs(root) if _inode(path) in inodes]
    for path in (*linked, *damaged):
        path.unlink(missing_ok=True)
    return linked


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


def _inode(path: Path) -> tuple[int, int] | None:
    """What tells that two paths are one file; None where there is none (any more)."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _outs(root: Path) -> Iterator[Path]:
    """The files of every output that dvc.lock names and that is there."""
    lock = root / "dvc.lock"
    stages = YAML(typ="safe").load(lock)["stages"] if lock.exists() else {}
    for path in (root / out["path"] for stage in stages.values() for out in stage.get("outs", [])):
        if path.is_file() or path.is_symlink():
            yield path
        for folder, _, files in os.walk(path):
            yield from (Path(folder, file) for file in files)
