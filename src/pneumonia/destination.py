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
    elif target.is_dir() and all(_is_temporary(each, target.name) for each in target.iterdir()):
        _sweep(target, target.name)  # not beside results: a run that was killed while it moved them left the rest there
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
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
            _deliver(temporary, target)
        except KeyboardInterrupt:
            _keep(temporary)
            raise
        except OSError as error:
            kept = _keep(temporary)
            raise ValueError(
                f"{target} cannot take the results any more: {error.strerror}; they are kept in {kept}"
            ) from error


def _deliver(temporary: Path, target: Path) -> None:
    """Put the results in their place.

    Raises:
        OSError: something is there that was not there before.
    """
    if temporary.parent != target:
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(target)  # replaces an empty folder only
        return
    if any(not _is_temporary(each, target.name) for each in target.iterdir()):
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
