"""The folder that a person names for results: what lies there is never lost, and what was worked out is not either.

The pipeline's folders are its own and are replaced whole (`pneumonia.files.fresh_dir`). A person's folder must be absent or
empty, when the work begins and when it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESULTS = "results"  # of a folder that `kept_dir` yields
_LOCK = "lock"


def check(path: str | Path) -> Path:
    """Check that results can go to `path`; what killed runs left of their work there is removed.

    Arguments:
        path: as a person wrote it: links and `..` lead where they lead.

    Returns:
        The folder meant, without links and `..`.

    Raises:
        ValueError: it is no folder, or holds something, or another run writes into it.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise ValueError(f"{path} is a link that leads round in a circle; name another --output")
    if not target.is_dir() and target.parent.is_dir():
        _sweep(target.parent, target.name)
    elif target.is_dir() and _is_free(target):
        _sweep(target, target.name)  # not beside results: a run that was killed while it moved them left the rest there
    if target.exists() and not (target.is_dir() and _is_free(target)):
        raise ValueError(f"{target} exists and is not empty; name another --output")
    return target


@contextmanager
def new_dir(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; on success its content becomes that of `path`, on error it is removed.

    Where `path` is absent, everything appears there at once. An empty folder stays as it is, with its owner and mode, and
    may be a mount point: the work is done inside it, and each entry is moved at the end.

    Arguments:
        path: absent, or an empty folder.

    Raises:
        ValueError: as of `check`; or there is something at the end: the results are then in the folder that it names.
    """
    target = check(path)
    home = target if target.is_dir() else target.parent
    home.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=home))
    with _locked(temporary):
        try:
            yield temporary
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        try:
            _deliver(temporary, target, home == target)
        except KeyboardInterrupt:
            _keep(temporary)
            raise
        except OSError as error:
            kept = _keep(temporary)
            raise ValueError(
                f"{target} cannot take the results any more: {error.strerror}; they are kept in {kept}"
            ) from error


@contextmanager
def kept_dir(path: str | Path, key: str) -> Iterator[Path]:
    """Yield a folder that outlives a run which does not come to its end: the next run with the same key goes on with it.

    On success the content of its folder `RESULTS`, which is there, becomes that of `path`, and the rest is removed; on error
    it stays as it is, unless nothing was put into it. It lies beside `path`, or inside where that is an empty folder.

    Arguments:
        path: absent, or an empty folder.
        key: 16 hexadecimal digits that tell one work from another.

    Raises:
        ValueError: as of `check`; or another run is at work on the same; or there is something at the end, and the results
            stay in the folder that it names.
    """
    target = check(path)
    inside = target.is_dir()
    kept = (target if inside else target.parent) / f".{target.name}.{key}.kept"
    results = kept / RESULTS
    results.mkdir(parents=True, exist_ok=True)
    with (kept / _LOCK).open("w") as lock:
        if not _is_alone(lock.fileno()):
            raise ValueError(f"another run is at work on this --output, in {kept}; wait for it or name another")
        try:
            yield kept
        except BaseException:
            if all(each.is_dir() or each.name == _LOCK for each in kept.rglob("*")):
                shutil.rmtree(kept, ignore_errors=True)
            raise
        try:
            _deliver(results, target, inside)
        except OSError as error:
            raise ValueError(
                f"{target} cannot take the results any more: {error.strerror}; they are kept in {results}"
            ) from error
    shutil.rmtree(kept, ignore_errors=True)  # without the lock: an open file of NFS cannot be removed


def kept_of_others(path: str | Path, key: str) -> list[Path]:
    """The folders that runs with other keys left for the results `path`, see `kept_dir`."""
    target = check(path)
    home = target if target.is_dir() else target.parent
    found = home.iterdir() if home.is_dir() else ()
    return sorted(each for each in found if _is_kept(each, target.name) and key not in each.name)


def _deliver(temporary: Path, target: Path, inside: bool) -> None:
    """Put the results in their place.

    Arguments:
        inside: whether that is a folder which is there, and keeps its owner and mode.

    Raises:
        OSError: something is there that was not there before.
    """
    if not inside:
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(target)  # replaces an empty folder only
        return
    if not _is_free(target):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
    for each in sorted(temporary.iterdir()):
        each.rename(target / each.name)
    temporary.rmdir()


def _keep(temporary: Path) -> Path:
    """Give the folder a name that no run sweeps."""
    kept = temporary.with_name(temporary.name.removeprefix(".").removesuffix(".tmp"))
    try:
        temporary.chmod(0o777 & ~_umask())
        return temporary.rename(kept)
    except OSError:
        return temporary


def _sweep(folder: Path, name: str) -> None:
    """Remove what killed runs left in `folder` of the results `name`.

    Raises:
        ValueError: a run that lives is at work there.
    """
    for stale in sorted(folder.iterdir()):
        if not _is_temporary(stale, name):
            continue
        with _locked(stale) as alone:
            if not alone:
                raise ValueError(f"another run is at work on this --output, in {stale}; wait for it or name another")
            shutil.rmtree(stale)


def _is_temporary(path: Path, name: str) -> bool:
    """Whether `path` is a folder as `new_dir` makes it for the results `name`."""
    pattern = rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}\.tmp"
    return re.fullmatch(pattern, path.name) is not None and path.is_dir() and not path.is_symlink()


def _is_kept(path: Path, name: str) -> bool:
    """Whether `path` is a folder as `kept_dir` makes it for the results `name`."""
    pattern = rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.kept"
    return re.fullmatch(pattern, path.name) is not None and path.is_dir() and not path.is_symlink()


def _is_free(target: Path) -> bool:
    """Whether a folder holds nothing but what runs work in."""
    return all(_is_temporary(each, target.name) or _is_kept(each, target.name) for each in target.iterdir())


def _is_alone(handle: int) -> bool:
    """Take a lock that ends with the process; False where another has it. Some file systems over a network have none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a lock on `folder` that ends with the process; yields whether it is held.

    Another process may hold it, and some file systems over a network have none.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
