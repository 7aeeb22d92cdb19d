"""Runs the folds of a cross-validation, one DVC experiment each, and goes on where it was stopped.

An experiment that is done is found by its params and not run again; one that was stopped is run from its split on. Each runs in
a copy of the project, so the workspace stays as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pneumonia.experiments.folds import FOLD, Experiment, candidates, check, stale
from pneumonia.files import flat

TARGET = "ensemble"  # the last stage of a fold
Run = Callable[[Sequence[str]], None]


def run(
    changes: Sequence[str], folds: Sequence[int] | None, root: Path = Path(), *, start: Run | None = None
) -> list[Experiment]:
    """The experiments of some folds with the workspace's params but for `changes`; those that are not there are run.

    Arguments:
        changes: `section.key=value` each, as of `dvc exp run -S`.
        folds: which; None: all.
        start: runs one experiment, given the arguments of `dvc exp run`; DVC where it is left out.

    Raises:
        ValueError: a change is none, an experiment fails, or what was run does not fit together.
    """
    present = flat(YAML(typ="safe").load((root / "params.yaml").read_text(encoding="utf-8")))
    wanted = present | parsed(changes, present)
    numbers = range(int(wanted["split.folds"])) if folds is None else folds
    found = []
    for number in numbers:
        settings = wanted | {FOLD: number}
        own = _done(settings, root)
        if own is None:
            print(f"fold {number}: running {' '.join(changes)}".rstrip(), flush=True)
            copied = [word for path in untracked(settings, root) for word in ("-C", path)]
            moved = [word for change in (*changes, f"{FOLD}={number}") for word in ("-S", change)]
            (start or _dvc(root))(["--temp", *copied, *moved, TARGET])
            own = _done(settings, root)
        if own is None:
            raise ValueError(
                f"fold {number} ran, but left no experiment with its params that came to its end; see `dvc exp list`"
            )
        found.append(own)
    check(found)
    return found


def parsed(changes: Sequence[str], present: Mapping[str, Any]) -> dict[str, Any]:
    """`section.key=value` -> value, of keys that params.yaml has.

    Raises:
        ValueError: one is no such thing, or changes the fold.
    """
    result = {}
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign or key not in present or key == FOLD:
            raise ValueError(f"a change is KEY=VALUE with a key of params.yaml, other than {FOLD}, got {change!r}")
        result[key] = YAML(typ="safe").load(value)
    return result


def untracked(settings: Mapping[str, Any], root: Path) -> list[str]:
    """The files that params name and git does not know, so that a copy of the project lacks them: `-C` of `dvc exp run`.

    A folder that git knows nothing of goes as a whole: DVC takes no file alone from it.
    """
    named = sorted(
        {value for value in settings.values() if isinstance(value, str) and value and (root / value).is_file()}
    )
    known = _lines(root, "git", "ls-files")
    folders = {parent.as_posix() for path in known for parent in Path(path).parents}
    found = []
    for path in (Path(value) for value in named if value not in known and not Path(value).is_absolute()):
        while path.parent.as_posix() not in folders:
            path = path.parent
        found.append(path.as_posix())
    return sorted(set(found))


def _done(settings: Mapping[str, Any], root: Path) -> Experiment | None:
    """The newest experiment of the checked-out commit with these params that came to its end."""
    asked = Experiment("", "", settings, {})
    for own in candidates(root):
        if own.fold == asked.fold and own.settings() == asked.settings() and not stale(own, own.stages):
            return own
    return None


def _dvc(root: Path) -> Run:
    def start(arguments: Sequence[str]) -> None:
        # Relative, so that it is the copy's own code that runs.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, ["src", os.environ.get("PYTHONPATH")]))}
        result = subprocess.run(
            [sys.executable, "-m", "dvc", "exp", "run", *arguments], cwd=root, env=environment, check=False
        )
        if result.returncode:
            raise ValueError(
                f"dvc exp run {' '.join(arguments)} ended with {result.returncode}; mend it and start again"
            )

    return start


def _lines(root: Path, *command: str) -> set[str]:
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", check=True)
    return set(result.stdout.splitlines())
