"""Files that are whole or not there: write to a temporary name beside the target, then rename.

Needs the standard library and, inside the CSV functions, pandas. Formats carry no time stamp: the same content gives the
same bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import importlib.util
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def write_atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` on success, remove it on error.

    The parent folder is made. A hard-linked, read-only `path` (DVC's cache) is replaced, never written through.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def fresh_dir(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it takes the place of `path`, on error it is removed.

    What killed processes left of earlier tries goes first; the folder of a process that lives is locked and stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError), _locked(stale):
            shutil.rmtree(stale)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        with _locked(temporary):
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder` that ends with the process.

    Raises:
        OSError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write `data` as JSON: sorted keys, floats rounded to 6 decimals, NaN and infinity as null."""
    with write_atomic(path) as temporary:
        text = json.dumps(_plain(data), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object."""
    result: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return result


def write_csv(path: str | Path, frame: pd.DataFrame, decimals: Mapping[str, int] | None = None) -> None:
    """Write `frame` without its index; `decimals` gives the digits after the point of float columns, by name."""
    frame = frame.copy()
    for column, digits in (decimals or {}).items():
        frame[column] = [("" if math.isnan(v) else f"{v:.{digits}f}") for v in frame[column].astype(float)]
    with write_atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: str | Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read a CSV whose columns are `columns` (name -> dtype: "str", "float" or "int").

    Empty strings stay empty strings; an empty number is NaN.

    Raises:
        ValueError: columns are missing; it names the file.
    """
    import pandas as pd

    frame = pd.read_csv(
        path,
        dtype={name: "str" for name, kind in columns.items() if kind == "str"},
        keep_default_na=False,
        na_values={name: [""] for name, kind in columns.items() if kind != "str"},
    )
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing, found {list(frame.columns)}")
    for name, kind in columns.items():
        if kind != "str":
            frame[name] = frame[name].astype("float64" if kind == "float" else "int64")
    return frame[list(columns)]


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def md5(path: str | Path) -> str:
    """MD5 of a file, in hex: the name that DVC gives its content. Of content, not for security."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values in one level: `{"a": {"b": 1}}` becomes `{"a.b": 1}`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def source(module: str) -> Path:
    """The file of a module by its dotted name.

    Raises:
        ModuleNotFoundError: there is none.
    """
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"there is no module {module}")
    return Path(found.origin)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
