"""Profiles: small YAML files of values for another set-up, written over `params.yaml` with its comments kept."""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pneumonia.files import write_atomic
from pneumonia.params import ParamsError, check


def names(folder: Path = Path("profiles")) -> list[str]:
    """Names of the profiles in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def diff(name: str, params: Path = Path("params.yaml"), folder: Path = Path("profiles")) -> str:
    """What applying the profile would change, as a unified diff; empty where it is applied already.

    Raises:
        ParamsError: as `apply` does.
    """
    return _difference(name, params, _merged(name, params, folder))


def apply(name: str, params: Path = Path("params.yaml"), folder: Path = Path("profiles")) -> str:
    """Write the profile's values over `params`, atomically, comments kept.

    Returns:
        the diff.

    Raises:
        ParamsError: the profile does not exist, it or params.yaml is no YAML, params.yaml does not have one of its
            keys, or the typed model refuses the result.
    """
    text = _merged(name, params, folder)
    difference = _difference(name, params, text)
    if difference:
        with write_atomic(params) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return difference


def applied(name: str, params: Path = Path("params.yaml"), folder: Path = Path("profiles")) -> bool:
    """Whether every value of the profile stands in `params`.

    Raises:
        ParamsError: one of the two files is not there or no YAML.
    """
    values, target = _read(folder, name), _load(_yaml(), params)
    return all(_get(target, keys) == value for keys, value in _leaves(values))


def check_new(name: str, folder: Path = Path("profiles")) -> Path:
    """Where a new profile goes.

    Raises:
        ParamsError: it is there already, or `name` is no name of a file.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ParamsError(f"a profile is named by letters, digits, '.', '_' and '-', got {name!r}")
    path = folder / f"{name}.yaml"
    if path.exists():
        raise ParamsError(f"{path} is there already; give another name, or delete it")
    return path


def write(name: str, values: Mapping[str, Any], comment: str, folder: Path = Path("profiles")) -> Path:
    """Write a new profile, with lines of comment before its values.

    Returns:
        where it is.

    Raises:
        ParamsError: as `check_new`.
    """
    path = check_new(name, folder)
    stream = io.StringIO()
    _yaml().dump(dict(values), stream)
    with write_atomic(path) as temporary:
        lines = "".join(f"# {line}\n" for line in comment.splitlines())
        temporary.write_text(f"{lines}\n{stream.getvalue()}", encoding="utf-8")
    return path


def _difference(name: str, params: Path, after: str) -> str:
    before = params.read_text(encoding="utf-8").splitlines()
    lines = difflib.unified_diff(before, after.splitlines(), str(params), f"{params} with {name}", n=0, lineterm="")
    return "\n".join(lines)


def _merged(name: str, params: Path, folder: Path) -> str:
    yaml = _yaml()
    target = _load(yaml, params)
    for keys, value in _leaves(_read(folder, name)):
        section = target
        for key in keys[:-1]:
            section = section.get(key) if isinstance(section, dict) else None
        if not isinstance(section, dict) or keys[-1] not in section:
            raise ParamsError(f"profile {name}: {'.'.join(keys)} is not a key of {params}")
        if section[keys[-1]] != value:
            section[keys[-1]] = value
    stream = io.StringIO()
    yaml.dump(target, stream)
    check(YAML(typ="safe").load(stream.getvalue()), f"{params} with profile {name}")
    return stream.getvalue()


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise ParamsError(f"there is no profile {name!r} in {folder}/; there are: {', '.join(names(folder)) or 'none'}")
    values = _load(YAML(typ="safe"), path)  # plain values: the profile's own comments do not travel
    if not isinstance(values, dict):
        raise ParamsError(f"profile {path}: expected a mapping of sections, got {type(values).__name__}")
    return values


def _load(yaml: YAML, path: Path) -> Any:
    """The content of a YAML file; ParamsError names the file where it has none that can be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} not found; run this from the project's root") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=2, offset=0)
    return yaml


def _leaves(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    leaves: list[tuple[tuple[str, ...], Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            leaves += _leaves(value, (*prefix, key))
        else:
            leaves.append(((*prefix, key), value))
    return leaves


def _get(values: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values
